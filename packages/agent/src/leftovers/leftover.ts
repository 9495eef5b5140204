import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import type { LeftoverKind } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { namesIn } from '../host/index.ts';

/** Something that an operation left behind which nobody works on any more. */
export interface Leftover {
  readonly kind: LeftoverKind;
  readonly path: string;
  /** Whose it was, a sentence. */
  readonly reason: string;
  /** Why it must stay, a sentence; empty when it may go. */
  readonly staysBecause: string;
  /** Removes it; again changes nothing. Throws the system's error. */
  remove(): Promise<void>;
}

/** Where to look, and what lives there. */
export interface Search {
  readonly config: Pick<AgentConfig, 'repository' | 'cluster' | 'node' | 'stateDir' | 'mariadb' | 'columnstore'>;
  /** Operation that owns the node, unless it is the one that cleans. */
  readonly alive: string | undefined;
  /** Sets that are committed on other nodes. */
  readonly committed: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/**
 * When something was last changed, milliseconds since 1970: itself or, for a directory, what lies directly in it. 0 when it is gone.
 * Whatever makes a part, a stage or a file writes there all the time. Throws the system's error.
 */
export async function changedMs(path: string): Promise<number> {
  const own = await timeOf(path);
  const within = await Promise.all((await namesIn(path)).map((name) => timeOf(join(path, name))));
  return Math.max(own, ...within);
}

/** The latest of the times that a file system keeps: a file that was renamed or copied with its time is new all the same. */
const timeOf = (path: string): Promise<number> =>
  lstat(path).then(
    ({ ctimeMs, mtimeMs }) => Math.max(ctimeMs, mtimeMs),
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return 0;
      throw error;
    },
  );
