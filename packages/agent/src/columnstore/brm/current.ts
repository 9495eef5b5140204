import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';

/** The set of files that holds the block resolution manager. */
export interface CurrentBrm {
  /** `BRM_saves`, or with A or B behind it: snapshots that the engine takes by itself. */
  readonly set: string;
  /** As load_brm takes it. */
  readonly prefix: string;
  /** Four files, absolute. The journal has no A or B: there is one, for whichever set is current. */
  readonly files: { readonly em: string; readonly vbbm: string; readonly vss: string; readonly journal: string };
}

/**
 * Which set is the current one, by the file `<dbrmRoot>_current`, and that it is complete. Releases 1.0 and 1.1 write a path into that file.
 * Throws BRM_FAILED.
 */
export async function currentBrm(dbrmRoot: string): Promise<CurrentBrm> {
  const marker = `${dbrmRoot}_current`;
  const text = await readFile(marker, 'utf8').catch((cause: unknown) => {
    throw new StillpointError('BRM_FAILED', `It is not known which block resolution manager is current: ${(cause as Error).message}`, {
      cause,
    });
  });
  const set = parseCurrent(text, basename(dbrmRoot));
  if (set === undefined) {
    throw new StillpointError('BRM_FAILED', `${marker} names no set of the block resolution manager: "${text.trim().slice(0, 200)}"`);
  }
  const prefix = join(dirname(dbrmRoot), set);
  const files = { em: `${prefix}_em`, vbbm: `${prefix}_vbbm`, vss: `${prefix}_vss`, journal: `${dbrmRoot}_journal` };
  for (const file of Object.values(files)) await requireFile(file, marker);
  return { set, prefix, files };
}

/** The set that the content of the marker file names; undefined for anything but the plain set, A and B. Pure. */
export function parseCurrent(text: string, plain: string): string | undefined {
  const set = basename(text.trim());
  return [plain, `${plain}A`, `${plain}B`].includes(set) ? set : undefined;
}

async function requireFile(file: string, marker: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile()) return;
  throw new StillpointError('BRM_FAILED', `The block resolution manager is incomplete: ${marker} needs ${file}, which is not there`);
}
