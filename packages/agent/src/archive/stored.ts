/** Files of a part are for their owner and group: what lies in them is as secret as the database. */
export const FILE_MODE = 0o640;

/** What was written. */
export interface StoredFile {
  readonly bytes: number;
  /** Digest, lower-case hex. */
  readonly sha256: string;
}

/** Whether the code of a system error says that there is no space. */
export const isFullCode = (code: string | undefined): boolean => code === 'ENOSPC' || code === 'EDQUOT';

/** What a full disk is told as, after so many bytes of a file. */
export const fullText = (path: string, bytes: number): string =>
  `No space is left on the file system of ${path} after ${bytes} bytes of it`;
