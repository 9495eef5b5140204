import { create } from '@bufbuild/protobuf';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { readKeyring } from '../encryption/index.ts';

/** `agent.decryption`: whether the identities that the configuration names can be used; nothing where it names none. A backup needs none. */
export async function checkDecryption({ config: { decryption } }: Agent, purpose: 'backup' | 'restore'): Promise<CheckResult[]> {
  if (decryption === undefined) return [];
  const name = 'agent.decryption';
  try {
    const keyring = await readKeyring(decryption.identityFile);
    const message = `Opens what is encrypted for ${keyring?.recipients.join(', ')}`;
    return [create(CheckResultSchema, { name, status: CheckStatus.OK, message })];
  } catch (error) {
    const { code, message, hint } = toStillpointError(error);
    if (purpose === 'backup') return [create(CheckResultSchema, { name, status: CheckStatus.WARNING, message, hint })];
    return [create(CheckResultSchema, { name, status: CheckStatus.FAILED, message, hint, code })];
  }
}
