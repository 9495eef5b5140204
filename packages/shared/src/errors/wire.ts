import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { type ErrorDetail, ErrorDetailSchema } from '../proto/index.ts';
import { durationOf } from '../time/index.ts';
import { StillpointError } from './stillpoint-error.ts';
import { isErrorCode } from './table.ts';

/** An error as it travels. Its cause stays behind: causes may hold paths and statements of the node. */
export function toErrorDetail(error: StillpointError): ErrorDetail {
  return create(ErrorDetailSchema, {
    code: error.code,
    message: error.message,
    hint: error.hint,
    node: error.node ?? '',
    blockers: error.blockers.map(({ ageMs, connectionId, ...rest }) => ({
      ...rest,
      connectionId: BigInt(connectionId),
      // A duration of the protocol takes whole milliseconds only.
      age: durationOf(ageMs),
    })),
    tableLocks: error.tableLocks.map(({ ageMs, id, dbroots, ...rest }) => ({
      ...rest,
      id: BigInt(id),
      dbroots: [...dbroots],
      age: durationOf(ageMs),
    })),
  });
}

/** The error that travelled. A code that this version does not know becomes INTERNAL with the code in its message. */
export function fromErrorDetail(detail: ErrorDetail, node?: string): StillpointError {
  const { code, message } = detail;
  return new StillpointError(isErrorCode(code) ? code : 'INTERNAL', isErrorCode(code) ? message : `${code}: ${message}`, {
    ...(detail.hint === '' ? {} : { hint: detail.hint }),
    node: detail.node === '' ? node : detail.node,
    blockers: detail.blockers.map(({ connectionId, age, user, host, command, statement, lockMode }) => ({
      connectionId: Number(connectionId),
      ageMs: age === undefined ? 0 : durationMs(age),
      user,
      host,
      command,
      statement,
      lockMode,
    })),
    tableLocks: detail.tableLocks.map(({ id, age, table, process, pid, session, created, state, dbroots }) => ({
      id: Number(id),
      table,
      process,
      pid,
      session,
      created,
      state,
      dbroots,
      ageMs: age === undefined ? 0 : durationMs(age),
    })),
  });
}
