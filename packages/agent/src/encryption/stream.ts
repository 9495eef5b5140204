import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

/*
 * The payload of an age file, as https://c2sp.org/age has it ("STREAM"): a nonce, then chunks of 64 KiB, each sealed with
 * ChaCha20-Poly1305 and counted, the last one marked. Done here and not by the library, whose cipher in JavaScript reaches a tenth of the speed.
 */

/** Bytes of content in every chunk but the last. */
export const CHUNK_BYTES = 64 * 1024;
/** What a chunk grows by. */
export const TAG_BYTES = 16;
/** Between header and chunks. */
export const NONCE_BYTES = 16;

const CIPHER = 'chacha20-poly1305';
const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Key of one file's payload. */
export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32));

/** Nonce of a chunk: its number in eleven bytes, big endian, then a byte that marks the last one. */
function chunkNonce(number: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(number), 3);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** The sealed chunk, in pieces. */
export function sealChunk(key: Uint8Array, number: number, isLast: boolean, content: Uint8Array): Buffer[] {
  const cipher = createCipheriv(CIPHER, key, chunkNonce(number, isLast), OPTIONS);
  const sealed = cipher.update(content);
  cipher.final();
  return [sealed, cipher.getAuthTag()];
}

/** The content of a sealed chunk; undefined when it is not the one that was written at this place. */
export function openChunk(key: Uint8Array, number: number, isLast: boolean, sealed: Uint8Array): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  if (end < 0) return undefined;
  const decipher = createDecipheriv(CIPHER, key, chunkNonce(number, isLast), OPTIONS);
  decipher.setAuthTag(sealed.subarray(end));
  const content = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return content;
  } catch {
    return undefined;
  }
}
