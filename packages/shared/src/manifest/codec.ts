import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { StillpointError } from '../errors/index.ts';
import { type PartManifest, partManifestSchema } from './part.ts';
import { type SetManifest, setManifestSchema } from './set.ts';

/** sha256 of bytes, lower-case hex. */
export const sha256Of = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Clocks give more digits than they know: fractions of a millisecond end at the third. */
const rounded = (_key: string, value: unknown): unknown => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value);

/** The bytes of a manifest on disk: JSON that a person can read. */
export const encodeManifest = (manifest: PartManifest | SetManifest): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(manifest, rounded, 2)}\n`);

function decode<S extends z.ZodType>(schema: S, data: Uint8Array, where: string): z.infer<S> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (cause) {
    throw new StillpointError('MANIFEST_INVALID', `${where} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const first = parsed.error.issues[0];
  throw new StillpointError('MANIFEST_INVALID', `${where}: ${first?.path.join('.') ?? ''}: ${first?.message ?? 'not understood'}`);
}

/** Reads part.json. `where` names the file in errors. Throws MANIFEST_INVALID. */
export const decodePartManifest = (data: Uint8Array, where: string): PartManifest => decode(partManifestSchema, data, where);

/** Reads set.json. `where` names the file in errors. Throws MANIFEST_INVALID. */
export const decodeSetManifest = (data: Uint8Array, where: string): SetManifest => decode(setManifestSchema, data, where);
