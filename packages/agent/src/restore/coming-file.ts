import { readFile, stat } from 'node:fs/promises';
import { sha256Of } from '@stillpoint/shared/manifest';
import { carryTuning } from '../columnstore/configuration/tuning.ts';
import type { Account } from '../host/index.ts';
import type { PendingFile } from './state.ts';

/** What a configuration file will be. */
export interface Content {
  readonly data: Uint8Array;
  readonly mode: number;
  readonly owner: Account;
}

interface Found extends Content {
  readonly data: Buffer;
}

/** What a file that is put back will be; undefined when what is found stays. Looked at when the engine and the server are down. */
export async function comingContent(file: PendingFile, all: readonly PendingFile[]): Promise<Content | undefined> {
  const [before, found] = await Promise.all([readFile(file.copy), findFile(file.path)]);
  const whole = { data: before, mode: file.mode, owner: file.owner };
  if (found === undefined) return whole;
  if (file.how === 'if-absent') return undefined;
  const coming = file.how === 'tuning' ? await tuned(file, before, found, all) : whole;
  return isSame(coming, found) ? undefined : coming;
}

async function findFile(path: string): Promise<Found | undefined> {
  const [present, data] = await Promise.all([stat(path).catch(() => undefined), readFile(path).catch(() => undefined)]);
  if (present === undefined || data === undefined) return undefined;
  return { data, mode: present.mode & 0o7777, owner: { uid: present.uid, gid: present.gid } };
}

const isSame = (coming: Content, found: Found): boolean =>
  found.data.equals(coming.data) &&
  found.mode === coming.mode &&
  found.owner.uid === coming.owner.uid &&
  found.owner.gid === coming.owner.gid;

/** A password that cannot be decrypted is worth nothing, and a user without its password neither. */
const WITH_KEY = ['CrossEngineSupport/User', 'CrossEngineSupport/Password'];

/** What is found, with the tuning of what was. */
async function tuned({ path, copy, secrets }: PendingFile, before: Buffer, found: Found, all: readonly PendingFile[]): Promise<Content> {
  const isSameKey = secrets !== undefined && (await keyAfterwards(secrets.path, all)) === secrets.sha256;
  const from = { file: copy, text: before.toString('utf8') };
  const { xml } = carryTuning(from, { file: path, text: found.data.toString('utf8') }, isSameKey ? [] : WITH_KEY);
  return { ...found, data: Buffer.from(xml, 'utf8') };
}

/** Digest of the key file that will be there; empty for none. */
async function keyAfterwards(path: string, all: readonly PendingFile[]): Promise<string> {
  const coming = all.find((file) => file.path === path);
  const key = (await findFile(path))?.data ?? (coming === undefined ? undefined : await readFile(coming.copy));
  return key === undefined ? '' : sha256Of(key);
}
