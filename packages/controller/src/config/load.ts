import { readFileSync } from 'node:fs';
import { loadConfig } from '@stillpoint/shared/config';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { type ClusterConfig, clusterConfigSchema } from './schema.ts';

/** The schema, and that the files it names can be read. A second pass, so that its errors have a code of their own. */
const withReadableFiles = clusterConfigSchema.superRefine(({ tls }, context) => {
  for (const [key, path] of Object.entries(tls)) {
    try {
      readFileSync(path);
    } catch (error) {
      const why = errnoOf(error) === 'ENOENT' ? 'no such file' : errnoOf(error) === 'EACCES' ? 'permission denied' : String(error);
      context.addIssue({ code: 'custom', path: ['tls', key], message: `${path}: ${why}` });
    }
  }
});

/**
 * Reads `cluster.yaml`. Throws CONFIG_NOT_FOUND, CONFIG_INVALID, or CONFIG_FILE_UNREADABLE for a certificate or key that
 * cannot be read; messages name file, line and key.
 */
export function loadClusterConfig(path: string): ClusterConfig {
  const config = loadConfig(path, clusterConfigSchema);
  try {
    loadConfig(path, withReadableFiles);
  } catch (error) {
    throw error instanceof StillpointError ? new StillpointError('CONFIG_FILE_UNREADABLE', error.message, { cause: error }) : error;
  }
  return config;
}
