import { StillpointError } from '@stillpoint/shared/errors';
import { exists } from '../host/index.ts';
import { atRestPath, isWithin } from './places.ts';
import type { RestoreState } from './state.ts';

/**
 * Before the first move of a switch: what is to be put in place must be there, for else live data would make room for nothing. Throws
 * SWITCH_FAILED.
 */
export async function requireStages({ trees, operationId }: RestoreState): Promise<void> {
  for (const { name, live, stage } of trees) {
    if (await exists(stage)) continue;
    throw new StillpointError('SWITCH_FAILED', `The staged data of ${name}, ${stage}, is gone; ${live} was not touched`, {
      hint: `Is something that was mounted there not mounted any more? Then mount it and go on with \`stillpoint restore resume\`. Else go back with \`stillpoint restore rollback\` (${operationId}) and restore again.`,
    });
  }
}

/** Before the first move back from a complete switch: everything that it moved away must be there still. Throws SWITCH_FAILED. */
export async function requireKept({ trees, steps, keptIn, replaced }: RestoreState): Promise<void> {
  const moved = steps.flat().map(({ to }) => atRestPath(trees, to));
  const kept = moved.filter((path) => keptIn.some((directory) => isWithin(path, directory)));
  const found = replaced.map((file) => file.found).filter((path) => path !== '');
  for (const path of [...kept, ...found]) {
    if (await exists(path)) continue;
    throw new StillpointError('SWITCH_FAILED', `${path}, where the restore keeps what was there before, is gone; nothing was moved back`, {
      hint: 'Is something that was mounted there not mounted any more? Then mount it and try again. Else there is nothing to go back to: keep the restored data with `stillpoint restore finish`.',
    });
  }
}
