/** The host: files that survive a power cut, space, mounts, accounts and processes. */
export { type Account, accountName, accountOf, gidOf, ownAccount, ownerOf, uidOf, userName } from './accounts.ts';
export { readBootId } from './boot.ts';
export { exists, namesIn, removeFileDurably, syncDirectory, writeFileDurably } from './files.ts';
export { isMountPoint, mountPointsBelow } from './mounts.ts';
export { killLeftBehind, lockHolder, type NamedProcess, processesNamed, programOf, startedTicksOf } from './processes.ts';
export { directoryBytes, freeBytes } from './space.ts';
