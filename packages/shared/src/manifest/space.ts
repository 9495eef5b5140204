const MIB = 1024 * 1024;

/**
 * Bytes that staging a part takes beside the live data: the data, redo log and temporary tablespace that the server
 * makes anew, and a margin for what --prepare adds.
 */
export const stagingBytes = (dataBytes: number): number => dataBytes + Math.ceil(dataBytes / 50) + 128 * MIB;
