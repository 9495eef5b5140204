import { basename, dirname } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { type Account, accountName, ownAccount, ownerOf } from '../../host/index.ts';
import { ask, engineProgram, lastLine, type Said } from '../engine/program.ts';
import type { SuspendDriver } from '../suspend/types.ts';
import type { Engine } from '../types.ts';
import { currentBrm } from './current.ts';

/** Far beyond any save: it writes what is in shared memory. */
const LONGEST_MS = 600_000;

/**
 * Saves the block resolution manager: shared memory into the plain set of files, an empty journal, and the name of that set. As the owner
 * of the files: as anybody else it leaves segments of shared memory behind that the engine cannot use. Only while the engine runs:
 * otherwise it makes itself empty ones.
 *
 * Once begun it is not ended, whatever the signal says: it holds locks in shared memory, and half of it is a new map with an empty
 * journal. Throws BRM_FAILED, or the signal's reason.
 */
export async function saveBrm(engine: Engine, driver: Pick<SuspendDriver, 'status'>, signal: AbortSignal): Promise<void> {
  const owner = await ownerOfBrm(engine);
  const { mode, text } = await driver.status(signal);
  if (mode !== 'read-only' && mode !== 'read-write') {
    throw new StillpointError('BRM_FAILED', `The block resolution manager cannot be saved, for the engine does not run: ${text}`);
  }
  const said = await ask(engineProgram(engine, 'save_brm'), [], { timeoutMs: LONGEST_MS, as: owner }).catch((cause: unknown) => {
    if (cause instanceof StillpointError) throw cause;
    throw new StillpointError('BRM_FAILED', `save_brm did not end well: ${(cause as Error).message}`, { cause });
  });
  requireSaved(engine.topology.dbrmRoot, said);
  const { set } = await currentBrm(engine.topology.dbrmRoot);
  if (set !== basename(engine.topology.dbrmRoot)) {
    throw new StillpointError('BRM_FAILED', `save_brm saved ${basename(engine.topology.dbrmRoot)}, but the current set is still ${set}`);
  }
  signal.throwIfAborted();
}

/** Throws BRM_FAILED unless save_brm says that it has saved to where Columnstore.xml says. Pure. */
export function requireSaved(dbrmRoot: string, { stdout, stderr, exitCode }: Said): void {
  if (exitCode === 0 && stdout === `Saved to ${dbrmRoot}\n`) return;
  const elsewhere = /^Saved to (.+)\n$/.exec(stdout)?.[1];
  if (exitCode === 0 && elsewhere !== undefined) {
    throw new StillpointError(
      'BRM_FAILED',
      `save_brm saved to ${elsewhere}; by the configuration that Stillpoint read it should be ${dbrmRoot}`,
      {
        hint: 'Set `columnstore.config` in agent.yaml to the Columnstore.xml that the engine uses.',
      },
    );
  }
  const words = [lastLine(stdout.replaceAll('\n', ' ')), lastLine(stderr)].filter((line) => line !== '');
  throw new StillpointError('BRM_FAILED', `save_brm exited with ${exitCode} and said: ${words.join(' | ') || 'nothing'}`);
}

async function ownerOfBrm({ topology: { dbrmRoot } }: Engine): Promise<Account> {
  const directory = dirname(dbrmRoot);
  const owner = await ownerOf(directory);
  if (owner === undefined)
    throw new StillpointError('BRM_FAILED', `The directory of the block resolution manager, ${directory}, does not exist`);
  const own = ownAccount();
  if (own.uid === 0 || own.uid === owner.uid) return owner;
  throw new StillpointError(
    'BRM_FAILED',
    `save_brm must run as ${await accountName(owner)}, who owns ${directory}; the agent runs as ${await accountName(own)}`,
    {
      hint: 'Run the agent as root or as that account.',
    },
  );
}
