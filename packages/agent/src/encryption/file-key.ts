import { randomBytes } from 'node:crypto';
import { StillpointError } from '@stillpoint/shared/errors';
import { NONCE_BYTES, payloadKey, TAG_BYTES } from './stream.ts';

/** What sealing one file takes. A secret, good for one file only; plain bytes, so that it can be handed to a worker thread. */
export interface FileKey {
  /** What the file begins with: for whom it is, and the nonce of the payload. */
  readonly header: Uint8Array;
  /** Of the payload. */
  readonly key: Uint8Array;
}

/**
 * Makes the key of a new file and wraps it for all recipients (age1...). Header and wrapping are the library's: only the payload, where
 * its speed counts, is sealed by ourselves. Throws CONFIG_INVALID for something that is no recipient, and for none.
 */
export async function newFileKey(recipients: readonly string[]): Promise<FileKey> {
  // Not at start: the library takes some 60 ms, and few clusters need it.
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  if (recipients.length === 0) throw new StillpointError('CONFIG_INVALID', 'No recipient was named to encrypt for');
  for (const recipient of recipients) addRecipient(encrypter, recipient);
  let fileKey: Uint8Array = new Uint8Array();
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice();
      return [];
    },
  });
  // An empty file: its header, and a payload that is one empty chunk. The payload is left out, and its nonce, and with that its key, made anew.
  const empty = await encrypter.encrypt(new Uint8Array());
  const nonce = randomBytes(NONCE_BYTES);
  const header = Buffer.concat([empty.subarray(0, empty.length - NONCE_BYTES - TAG_BYTES), nonce]);
  return { header, key: payloadKey(fileKey, nonce) };
}

/** Loads what the first key needs: some 60 ms for which no writer is to wait. */
export async function warmUp(): Promise<void> {
  await import('age-encryption');
}

/** The key of a new file; undefined for one that is not encrypted, because nobody is named to encrypt for. Throws as `newFileKey` does. */
export const fileKeyFor = async (recipients: readonly string[]): Promise<FileKey | undefined> =>
  recipients.length === 0 ? undefined : newFileKey(recipients);

function addRecipient(encrypter: { addRecipient(recipient: string): void }, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    throw new StillpointError('CONFIG_INVALID', `"${recipient.slice(0, 80)}" is not a recipient to encrypt for`, { cause });
  }
}
