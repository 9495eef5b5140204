import type { PartDbroot } from './part.ts';

const MIB = 1024 * 1024;

/**
 * Bytes that staging a part takes beside the live data: the data, redo log and temporary tablespace that the server
 * makes anew, and a margin for what --prepare adds.
 */
export const stagingBytes = (dataBytes: number): number => dataBytes + Math.ceil(dataBytes / 50) + 128 * MIB;

/** What a file or directory takes on disk beyond its size, bytes. */
const PER_ENTRY = 4096;

/** Bytes that staging a dbroot takes beside the live one, on its own file system. */
export const dbrootStagingBytes = ({ dataBytes, files, directories }: Pick<PartDbroot, 'dataBytes' | 'files' | 'directories'>): number =>
  dataBytes + (files + directories) * PER_ENTRY + 16 * MIB;
