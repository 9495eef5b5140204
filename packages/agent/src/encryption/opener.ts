import { StillpointError } from '@stillpoint/shared/errors';
import { Damaged } from '../archive/damaged.ts';
import { Chunker } from './chunker.ts';
import { headerBytes } from './header.ts';
import type { Keyring } from './keyring.ts';
import { CHUNK_BYTES, NONCE_BYTES, openChunk, payloadKey, TAG_BYTES } from './stream.ts';

/** Opens one sealed file, piece by piece. What it has given is what was written, as far as it goes; that all is there only `final` tells. */
export class Opener {
  readonly #keyring: Keyring | undefined;
  readonly #name: string;
  readonly #chunks = new Chunker(CHUNK_BYTES + TAG_BYTES);
  #beginning: Buffer | undefined = Buffer.alloc(0);
  #key: Uint8Array = new Uint8Array();
  #number = 0;

  /** `keyring` is undefined on a node without identities; `name` is the file's, for messages. */
  constructor(keyring: Keyring | undefined, name: string) {
    this.#keyring = keyring;
    this.#name = name;
  }

  /** Takes sealed bytes; they are done with afterwards. Gives content in pieces, maybe none. Throws KEY_MISSING, Damaged. */
  async update(data: Uint8Array): Promise<Buffer[]> {
    const payload = this.#beginning === undefined ? data : await this.#begin(Buffer.concat([this.#beginning, data]));
    const opened: Buffer[] = [];
    this.#chunks.push(payload, (chunk) => opened.push(this.#open(chunk, false)));
    return opened;
  }

  /** The rest of the content. Throws Damaged, above all when the file ends too early. */
  final(): Buffer {
    if (this.#beginning !== undefined) throw new Damaged('it ends within its header, which says for whom it is encrypted');
    const rest = this.#chunks.rest();
    const content = this.#open(rest, true);
    if (content.length === 0 && this.#number > 1) throw new Damaged('its last chunk is empty');
    return content;
  }

  /** Gives what follows the header, once all of that is there. */
  async #begin(beginning: Buffer): Promise<Uint8Array> {
    this.#beginning = beginning;
    const length = headerBytes(beginning);
    if (length === undefined || beginning.length < length + NONCE_BYTES) return new Uint8Array();
    const fileKey = await fileKeyOf(beginning.subarray(0, length), this.#keyring, this.#name);
    this.#key = payloadKey(fileKey, beginning.subarray(length, length + NONCE_BYTES));
    this.#beginning = undefined;
    return beginning.subarray(length + NONCE_BYTES);
  }

  #open(sealed: Uint8Array, isLast: boolean): Buffer {
    const number = this.#number++;
    const content = openChunk(this.#key, number, isLast, sealed);
    if (content !== undefined) return content;
    const what = isLast ? `its end, from byte ${number * CHUNK_BYTES} of its content, is missing or` : `chunk ${number} of 64 KiB`;
    throw new Damaged(`${what} is not what was encrypted`);
  }
}

async function fileKeyOf(header: Uint8Array, keyring: Keyring | undefined, name: string): Promise<Uint8Array> {
  if (keyring === undefined)
    throw new StillpointError('KEY_MISSING', `${name} is encrypted, and this agent has no identity to open it with`);
  const key = await keyring.unwrap(header);
  if (key !== undefined) return key;
  const own = keyring.recipients.join(', ');
  throw new StillpointError('KEY_MISSING', `${name} is encrypted for others than the identities of this agent (${own})`);
}

/** The content of sealed pieces. Throws as `Opener` does, or what `pieces` throws. */
export async function* opening(pieces: AsyncIterable<Uint8Array>, keyring: Keyring | undefined, name: string): AsyncGenerator<Uint8Array> {
  const opener = new Opener(keyring, name);
  for await (const piece of pieces) {
    yield* await opener.update(piece);
  }
  const rest = opener.final();
  if (rest.length > 0) yield rest;
}
