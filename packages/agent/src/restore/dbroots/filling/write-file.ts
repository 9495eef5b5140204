import { closeSync, fchmodSync, fchownSync, futimesSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ListedFile } from '@stillpoint/shared/manifest';
import type { Account } from '../../../host/index.ts';
import { modeOf, secondsOf } from '../listed.ts';

/** On a thread: writes a file of a dbroot, with its mode and time, and gives it to `owner`. Throws what `content` throws, or the system's error. */
export async function writeFile(
  entry: ListedFile,
  content: AsyncIterable<Uint8Array>,
  stage: string,
  owner: Account | undefined,
): Promise<void> {
  // Nothing may be there: what is written goes where its name says, and nowhere else.
  const file = openSync(join(stage, entry.path), 'wx', 0o600);
  try {
    for await (const bytes of content) writeAll(file, bytes);
    if (owner !== undefined) fchownSync(file, owner.uid, owner.gid);
    fchmodSync(file, modeOf(entry));
    const seconds = secondsOf(entry);
    futimesSync(file, seconds, seconds);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at);
}
