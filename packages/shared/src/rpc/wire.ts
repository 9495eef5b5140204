import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, fromErrorDetail, isAbort, StillpointError, toErrorDetail, toStillpointError } from '../errors/index.ts';
import { ErrorDetailSchema } from '../proto/index.ts';
import type { Target } from './types.ts';

/** Metadata key of PROTOCOL_VERSION. */
export const PROTOCOL_KEY = 'stillpoint-protocol';

/** Trailer that carries an ErrorDetail. Our own key: `grpc-status-details-bin` would need google.rpc.Status around it. */
const ERROR_KEY = 'stillpoint-error-bin';

/** HTTP/2 peers drop connections over headers beyond 64 KiB, and base64 adds a third. */
const MAX_DETAIL_BYTES = 40_000;

/** The error that `signal` was aborted with, when `error` is but its echo; else `error` itself. */
export function causeOf(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && (isAbort(error) || error === signal.reason) ? abortReason(signal) : error;
}

/** Why a signal was aborted: its reason if that is a StillpointError, else CANCELLED. */
export function abortReason(signal: AbortSignal): StillpointError {
  return toStillpointError(signal.reason, 'CANCELLED');
}

/** An error as the end of a call. The one place where what a handler threw takes its form for the wire. */
export function toStatus(thrown: unknown, node: string): StatusObject {
  try {
    return statusOf(toStillpointError(thrown).on(node));
  } catch (unsendable) {
    // An error that the protocol has no room for must not leave its caller without an answer.
    return statusOf(toStillpointError(unsendable).on(node));
  }
}

function statusOf(error: StillpointError): StatusObject {
  const metadata = new Metadata();
  metadata.set(ERROR_KEY, Buffer.from(detailOf(error)));
  // `details` is for other clients than ours, and must be fit for encodeURI.
  return { code: status[error.row.grpc], details: shorten(`${error.code}: ${error.message}`, 500).toWellFormed(), metadata };
}

/** As much of an error as there is room for. */
function detailOf(error: StillpointError): Uint8Array {
  const { message, hint, blockers, ...rest } = toErrorDetail(error);
  for (let room = 8_000; ; room = Math.floor(room / 2)) {
    const cut = { ...rest, message: shorten(message, room), hint: shorten(hint, room), blockers: blockers.slice(0, room / 160) };
    const bytes = toBinary(ErrorDetailSchema, cut);
    if (bytes.length <= MAX_DETAIL_BYTES || room === 0) return bytes;
  }
}

const shorten = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`);

/** The error that a call ended with, as its caller gets it. */
export function fromStatus(error: ServiceError, target: Target, method: string): StillpointError {
  const [detail] = error.metadata.get(ERROR_KEY);
  if (detail !== undefined) return fromErrorDetail(fromBinary(ErrorDetailSchema, Buffer.from(detail)), target.node);
  // Statuses without a detail come from the transport, not from a handler.
  const [code, saying] = TRANSPORT[error.code] ?? (error.details.includes('RST_STREAM') ? BROKEN : ['INTERNAL', error.details]);
  return new StillpointError(code, `${target.node} (${target.address}): ${method}: ${saying}`, { node: target.node, cause: error });
}

const BROKEN: readonly [ErrorCode, string] = ['CONNECTION_LOST', 'the connection broke'];

const TRANSPORT: { readonly [code in status]?: readonly [ErrorCode, string] } = {
  [status.UNAVAILABLE]: BROKEN,
  // The server dropped the call: our own cancellations never get here.
  [status.CANCELLED]: BROKEN,
  [status.DEADLINE_EXCEEDED]: ['DEADLINE', 'no answer in time'],
  [status.UNIMPLEMENTED]: ['VERSION_SKEW', 'the agent does not know this call'],
};
