import { create } from '@bufbuild/protobuf';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';
import { readTlsMaterial } from '@stillpoint/shared/rpc';
import type { Agent } from '../agent.ts';

const DAY_MS = 86_400_000;
const WARN_DAYS = 30;

/** `agent.certificate`: whether the certificate of this agent is good, and for how long. */
export function checkCertificate({ config, clock }: Agent): CheckResult {
  const name = 'agent.certificate';
  try {
    const { certificate } = readTlsMaterial(config.tls, config.cluster, clock.now());
    const days = Math.floor((certificate.validToDate.getTime() - clock.now().getTime()) / DAY_MS);
    const message = `Valid for ${days} more days`;
    if (days >= WARN_DAYS) return create(CheckResultSchema, { name, status: CheckStatus.OK, message });
    const hint = 'Issue a new one with `stillpoint pki issue` and restart the agent.';
    return create(CheckResultSchema, { name, status: CheckStatus.WARNING, message, hint });
  } catch (error) {
    const { code, message, hint } = toStillpointError(error);
    return create(CheckResultSchema, { name, status: CheckStatus.FAILED, message, hint, code });
  }
}
