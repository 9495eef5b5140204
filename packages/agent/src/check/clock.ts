import { create } from '@bufbuild/protobuf';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';
import { formatDuration } from '@stillpoint/shared/time';
import type { Agent } from '../agent.ts';
import { lastRecordedMs } from '../operation/journal.ts';

/** Corrections of this size are daily business of a clock that is kept right. */
const TOLERATED_MS = 2_000;

/** `agent.clock`: whether the clock of this host has gone back since the last operation. How it compares with the others, the controller sees. */
export async function checkClock({ clock, config }: Agent): Promise<CheckResult> {
  const name = 'agent.clock';
  const now = clock.now();
  const behindMs = (await lastRecordedMs(config.stateDir)) - now.getTime();
  if (behindMs <= TOLERATED_MS) return create(CheckResultSchema, { name, status: CheckStatus.OK, message: now.toISOString() });
  const message = `${now.toISOString()} is ${formatDuration(behindMs)} before the last operation on this node`;
  const hint = 'Set the clock, and let NTP keep it: sets are listed in the order of their times.';
  return create(CheckResultSchema, { name, status: CheckStatus.WARNING, message, hint });
}
