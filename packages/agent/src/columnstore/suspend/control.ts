import { StillpointError } from '@stillpoint/shared/errors';
import { saveBrm } from '../brm/save.ts';
import { findController } from '../engine/controller.ts';
import { attest } from './attest.ts';
import { drain } from './drain.ts';
import { awaitFrozen, freezePrimary } from './freeze.ts';
import type { ControlParts } from './parts.ts';
import { resume } from './resume.ts';
import type { EngineControl, Resumed, Stand, SuspendTerms } from './types.ts';
import { awaitWritable } from './writable.ts';

/** How an engine that was not asked, or must not be, was resumed. */
const UNTOUCHED: Resumed = { tookMs: 0, way: undefined, stuckLocks: [] };

/** The engine of this node during one hold. */
export function createControl(parts: ControlParts): EngineControl {
  const { engine, driver } = parts;
  let isForeign = false;
  let asked: 'not' | 'asked' | 'seen' = 'not';

  const suspend = async (terms: SuspendTerms): Promise<Stand> => {
    if (!engine.isPrimary) return await awaitFrozen(parts, terms);
    const beforeFlag = async (stand: Stand): Promise<void> => {
      await terms.beforeFlag(stand);
      asked = 'asked';
    };
    try {
      const stand = await freezePrimary(parts, { ...terms, beforeFlag });
      asked = 'seen';
      return stand;
    } catch (error) {
      // Once something was asked for, a read-only engine is as likely our own doing, come late.
      isForeign = asked === 'not' && error instanceof StillpointError && error.code === 'ENGINE_READ_ONLY';
      throw error;
    }
  };
  return {
    driver: driver.name,
    isPrimary: engine.isPrimary,
    requireWritable: (signal) => requireWritable(parts, signal),
    drain: (terms) => drain(parts, terms),
    suspend,
    saveBrm: async (signal) => {
      if (engine.isPrimary) await saveBrm(engine, driver, signal);
    },
    attest: (since, signal) => attest(parts, since, signal),
    resume: async (bound, { mayComeYet } = { mayComeYet: asked === 'asked' }) => {
      if (!engine.isPrimary || isForeign) return UNTOUCHED;
      const resumed = await resume(parts, bound, { isSurelyReadOnly: asked !== 'not', mayComeYet });
      asked = 'not';
      return resumed;
    },
    awaitWritable: (bound) => awaitWritable(parts, bound),
  };
}

async function requireWritable({ engine, driver, processes }: ControlParts, signal: AbortSignal): Promise<void> {
  if (engine.contradictions.length > 0) throw new StillpointError('COLUMNSTORE_CONFIG', engine.contradictions.join('; '));
  const { mode, text, ready } = await driver.status(signal);
  if (mode === 'read-only') throw new StillpointError('ENGINE_READ_ONLY', `The engine is read-only already: ${text}`);
  if (mode !== 'read-write' || !ready) throw new StillpointError('ENGINE_NOT_READY', `The engine is not ready: ${text}`);
  if (!engine.isPrimary) return;
  await driver.require(signal);
  if ((await findController(processes)) !== undefined) return;
  throw new StillpointError(
    'COLUMNSTORE_CONFIG',
    `By ${engine.configFile} this node is the primary, and controllernode answers at ${engine.topology.controllerHost}, but it does not run here`,
  );
}
