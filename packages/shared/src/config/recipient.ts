import { bech32 } from '@scure/base';
import { z } from 'zod';

/** Bytes of an X25519 key. */
const KEY_BYTES = 32;
const HOW = '`age-keygen -y FILE` prints that of an identity';

/** A public key to encrypt for, as `age-keygen` prints it (age1...). Its checksum tells a slip of the pen. */
export const recipientSetting = z.string().superRefine((text, context) => {
  const wrong = whatIsWrong(text);
  if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong });
});

function whatIsWrong(text: string): string | undefined {
  // Not quoted: whoever reads the message must not learn it.
  if (/^age-secret-key-/i.test(text)) return `this is an identity, which is secret; name its public key (${HOW}), and make a new identity`;
  if (!/^age1[0-9a-z]+$/.test(text)) return `"${text.slice(0, 80)}" is not a recipient such as age1...; ${HOW}`;
  if (/^age1(?:pq|tag|tagpq)1/.test(text))
    return `"${text.slice(0, 20)}..." is a key of a kind that Stillpoint cannot open again; use one of \`age-keygen\``;
  try {
    const { prefix, bytes } = bech32.decodeToBytes(text);
    if (prefix === 'age' && bytes.length === KEY_BYTES) return undefined;
  } catch {
    // Told below.
  }
  return `"${text}" is not a whole recipient: a character is missing or another one`;
}
