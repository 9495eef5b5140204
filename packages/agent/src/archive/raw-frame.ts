/** Of every zstd frame, little endian. */
const MAGIC = 0xfd2fb528;
/** The whole content is one segment, and its size stands in four bytes. */
const DESCRIPTOR = 0xa0;
const HEADER_BYTES = 9;
/** Most that a block may hold. */
const BLOCK_BYTES = 128 * 1024;
const BLOCK_HEADER_BYTES = 3;
/** What a frame of one segment may hold; whoever reads it needs as much memory. */
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * A zstd frame that holds data as it is (RFC 8878, raw blocks): for data that is not to be compressed. Whatever reads zstd reads it, at the
 * speed of copying. It has no checksum of its own. Gives it in pieces, which share memory with `data`.
 */
export function rawFrame(data: Uint8Array): Uint8Array[] {
  if (data.length > MOST_BYTES) throw new Error(`a frame of ${data.length} bytes`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt8(DESCRIPTOR, 4);
  header.writeUInt32LE(data.length, 5);
  const pieces: Uint8Array[] = [header];
  for (let at = 0; at === 0 || at < data.length; at += BLOCK_BYTES) {
    const block = data.subarray(at, at + BLOCK_BYTES);
    pieces.push(blockHeader(block.length, at + BLOCK_BYTES >= data.length), block);
  }
  return pieces;
}

/** Whether it is the last one, its type (raw is 0) and its size, in 24 bits. */
function blockHeader(bytes: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(BLOCK_HEADER_BYTES);
  header.writeUIntLE(bytes * 8 + (isLast ? 1 : 0), 0, BLOCK_HEADER_BYTES);
  return header;
}
