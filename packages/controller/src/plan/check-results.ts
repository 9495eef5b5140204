import { create } from '@bufbuild/protobuf';
import type { ErrorCode } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';

/** A look that found all in order. */
export const ok = (name: string, message: string): CheckResult => create(CheckResultSchema, { name, status: CheckStatus.OK, message });

/** A look that found what the user should know. */
export const warning = (name: string, message: string, hint: string): CheckResult =>
  create(CheckResultSchema, { name, status: CheckStatus.WARNING, message, hint });

/** A look that found what makes the operation fail with `code`. */
export const failed = (name: string, message: string, hint: string, code: ErrorCode): CheckResult =>
  create(CheckResultSchema, { name, status: CheckStatus.FAILED, message, hint, code });

/** Nodes that a look could not reach, each with why; and whether it saw any at all. */
export interface Unseen {
  readonly nodes: readonly string[];
  readonly anySeen: boolean;
}

/** A result that does not claim more than was seen: what could not be looked at is not in order. */
export function asFarAsSeen({ name, status, message, hint, code }: CheckResult, { anySeen, nodes }: Unseen): CheckResult {
  const again = 'See to the nodes that are named, and check again.';
  if (!anySeen) return warning(name, 'not checked: no node answered', 'See to the nodes, and check again.');
  if (nodes.length === 0) return create(CheckResultSchema, { name, status, message, hint, code });
  return create(CheckResultSchema, {
    name,
    status: status === CheckStatus.OK ? CheckStatus.WARNING : status,
    message: `${message}; not checked: ${nodes.join(', ')}`,
    hint: hint === '' ? again : hint,
    code,
  });
}
