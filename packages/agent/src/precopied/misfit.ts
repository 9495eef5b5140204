import type { Origin, PrecopiedRecord } from './record.ts';

/** Why what was copied cannot be used for what is to be stored now, a clause; undefined when it can, as far as the record tells. Pure. */
export function misfitOf(record: PrecopiedRecord, now: Origin): string | undefined {
  if (record.cluster !== now.cluster || record.node !== now.node || record.number !== now.number)
    return `it is dbroot ${record.number} of node ${record.node} of cluster ${record.cluster}`;
  // After a crash of the host a file system may have a new stamp with old content.
  if (record.bootId !== now.bootId) return 'the host was started anew since, so it cannot be told which files have changed';
  if (record.path !== now.path || record.root !== now.root) return `the dbroot was in ${record.root} then, and is in ${now.root} now`;
  if (record.device !== now.device || record.inode !== now.inode) return `${now.root} is another directory now`;
  if (record.level !== now.level) return `it is compressed at level ${record.level}, and level ${now.level} is asked for`;
  if (record.recipients.toSorted().join() !== now.recipients.toSorted().join())
    return `it is encrypted for ${record.recipients.join(', ') || 'nobody'}, and ${now.recipients.join(', ') || 'nobody'} is asked for`;
  if (record.parentSet !== now.parentSet) return `it goes with ${nameOf(record.parentSet)}, and ${nameOf(now.parentSet)} is asked for`;
  return undefined;
}

const nameOf = (parentSet: string): string => (parentSet === '' ? 'a full set' : `an increment of set ${parentSet}`);
