/** Directories of Stillpoint's own: staged and kept data of a restore. */
const OWN = '.stillpoint';

/** Markers by which nodes tell each other who owns a dbroot in object storage. Restored, they would name an owner that is none. */
const OWNERSHIP_MARKERS = ['OWNED', 'FLUSHING', 'REQUEST_TRANSFER'];

/** Whether something in a dbroot is no part of its image: `within` is the directory in which it lies, empty for the dbroot itself. Pure. */
export const isLeftOut = (within: string, name: string): boolean =>
  name.startsWith(OWN) || (within === '' && OWNERSHIP_MARKERS.includes(name));

/**
 * Files of controllernode that it may write while the engine is read-only: transaction ids, table locks and object ids are dealt with before
 * it looks whether it is.
 */
const WRITTEN_WHILE_SUSPENDED = ['SMTxnID', 'tablelocks', 'oidbitmap'];

/** Those of them in a dbroot, relative; `brmDirectory` is the place of the block resolution manager in it, relative, if it is there. Pure. */
export const restlessFiles = (brmDirectory: string | undefined): ReadonlySet<string> =>
  new Set(
    brmDirectory === undefined ? [] : WRITTEN_WHILE_SUSPENDED.map((name) => (brmDirectory === '' ? name : `${brmDirectory}/${name}`)),
  );
