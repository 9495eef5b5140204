import { inspect } from 'node:util';
import { Damaged } from '../archive/damaged.ts';

/** The identities that this node opens files with. They never leave it: what is shown of it are the public keys. */
export class Keyring {
  /** The public keys (age1...), in the order of the file. */
  readonly recipients: readonly string[];
  readonly #identities: readonly string[];

  private constructor(identities: readonly string[], recipients: readonly string[]) {
    this.#identities = identities;
    this.recipients = recipients;
  }

  /** Throws the library's error, without the identity in it, for something that is none. */
  static async of(identities: readonly string[]): Promise<Keyring> {
    const { identityToRecipient } = await import('age-encryption');
    return new Keyring(identities, await Promise.all(identities.map((identity) => identityToRecipient(identity))));
  }

  /** Whether one of the identities is among those that something is encrypted for. */
  opens(recipients: readonly string[]): boolean {
    return recipients.some((recipient) => this.recipients.includes(recipient));
  }

  /** The key of a file by its header; undefined when none of the identities is one that it was encrypted for. Throws Damaged. */
  async unwrap(header: Uint8Array): Promise<Uint8Array | undefined> {
    const { Decrypter } = await import('age-encryption');
    const decrypter = new Decrypter();
    let isOurs = true;
    for (const identity of this.#identities) decrypter.addIdentity(identity);
    // Asked last, and only if none of those before it fits.
    const stranger = (): null => {
      isOurs = false;
      return null;
    };
    decrypter.addIdentity({ unwrapFileKey: stranger });
    try {
      return await decrypter.decryptHeader(header);
    } catch (error) {
      if (!isOurs) return undefined;
      throw new Damaged(`its header, which says for whom it is encrypted, is damaged: ${(error as Error).message}`);
    }
  }

  /** For logs: never the identities. */
  [inspect.custom](): string {
    return `Keyring(${this.recipients.join(', ')})`;
  }
}
