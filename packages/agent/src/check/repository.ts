import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { writeFileDurably } from '../host/index.ts';

/** `repository.writable`: whether the agent can write where its parts go. */
export async function checkRepository({ config }: Agent): Promise<CheckResult> {
  const name = 'repository.writable';
  const probe = join(config.repository, `.probe-${process.pid}`);
  try {
    await mkdir(config.repository, { recursive: true, mode: 0o700 });
    await writeFileDurably(probe, '');
    await rm(probe);
    return create(CheckResultSchema, { name, status: CheckStatus.OK, message: config.repository });
  } catch (error) {
    const message = `${config.repository} cannot be written: ${(error as Error).message}`;
    const hint = 'Correct the setting `repository` or the permissions of that directory.';
    return create(CheckResultSchema, { name, status: CheckStatus.FAILED, message, hint, code: 'CHECK_FAILED' });
  }
}
