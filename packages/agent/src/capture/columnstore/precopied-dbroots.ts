import { stat } from 'node:fs/promises';
import type { Agent } from '../../agent.ts';
import type { DbrootToCapture } from '../../columnstore/dbroot/index.ts';
import { readBootId } from '../../host/index.ts';
import { misfitOf, notUsed, type Origin, type PrecopiedRecord, recordsIn, removePrecopied } from '../../precopied/index.ts';

/** Which dbroot, and how it is stored. */
type Described = Pick<DbrootToCapture, 'number' | 'path' | 'root' | 'level' | 'recipients' | 'parent'>;

/** For whom. */
interface Copier {
  readonly agent: Agent;
  readonly operationId: string;
  readonly setId: string;
}

/** Who copies a dbroot; undefined where the host does not name its boots: then nobody could go on with it. Throws the system's error. */
export async function originOf({ agent, operationId, setId }: Copier, dbroot: Described): Promise<Origin | undefined> {
  const bootId = await readBootId();
  if (bootId === '') return undefined;
  const { cluster, node } = agent.config;
  const { level, number, path, recipients, root, parent } = dbroot;
  const { dev, ino } = await stat(root, { bigint: true });
  const described = { number, path, root, level, recipients: [...recipients], parentSet: parent?.setId ?? '' };
  return { ...described, cluster, node, operationId, setId, bootId, device: String(dev), inode: String(ino) };
}

/**
 * What an interrupted backup has left in the part, by dbroot, where it fits what is copied now. Whatever does not is removed, with a note that says why. Throws the
 * system's error.
 */
export async function leftOf(
  part: string,
  origins: readonly (Origin | undefined)[],
  note: (message: string) => void,
): Promise<ReadonlyMap<number, PrecopiedRecord>> {
  const fitting = new Map<number, PrecopiedRecord>();
  for (const record of await recordsIn(part)) {
    const origin = origins.find((each) => each?.number === record.number);
    const why = origin === undefined ? 'this dbroot is not copied before the still point now' : misfitOf(record, origin);
    if (why === undefined) fitting.set(record.number, record);
    else {
      note(notUsed(record, why));
      await removePrecopied(part, [record]);
    }
  }
  return fitting;
}
