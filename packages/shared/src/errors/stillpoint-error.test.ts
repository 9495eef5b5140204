import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { errnoOf, isAbort, StillpointError, toStillpointError } from './index.ts';

const systemError = (code: string): Error => Object.assign(new Error(`${code}: no good`), { code });

describe('toStillpointError', () => {
  it('leaves our own as they are', () => {
    const error = new StillpointError('NODE_BUSY', 'x');
    expect(toStillpointError(error, 'STAGE_FAILED')).toBe(error);
  });

  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    ['EROFS', 'FILE_REFUSED'],
    ['EACCES', 'FILE_REFUSED'],
    ['ENOENT', 'INTERNAL'],
  ])('makes %s %s', (errno, code) => {
    const cause = systemError(errno);
    expect(toStillpointError(cause)).toMatchObject({ code, message: `${errno}: no good`, cause });
  });

  it('takes the fallback for what it does not know', () => {
    expect(toStillpointError(systemError('EIO'), 'CAPTURE_FAILED').code).toBe('CAPTURE_FAILED');
    expect(toStillpointError('a string')).toMatchObject({ code: 'INTERNAL', message: 'a string' });
    expect(toStillpointError(undefined).message).toBe('undefined');
  });

  it('finds the reason that an abort was given, behind what a library makes of it', async () => {
    const reason = new StillpointError('LEASE_EXPIRED', 'gone');
    const abort = new AbortController();
    const sleep = delay(3_600_000, undefined, { signal: abort.signal });
    abort.abort(reason);
    const thrown: unknown = await sleep.catch((error: unknown) => error);
    expect(thrown).not.toBe(reason);
    expect(toStillpointError(thrown)).toBe(reason);
  });

  it('makes an abort without such a reason CANCELLED', async () => {
    const thrown: unknown = await delay(1, undefined, { signal: AbortSignal.abort() }).catch((error: unknown) => error);
    expect(toStillpointError(thrown).code).toBe('CANCELLED');
    expect(toStillpointError(AbortSignal.abort().reason).code).toBe('CANCELLED');
  });
});

describe('isAbort', () => {
  it.each([
    ['a DOMException', AbortSignal.abort().reason, true],
    ['an error of node', systemError('ABORT_ERR'), true],
    ['CANCELLED', new StillpointError('CANCELLED', 'x'), true],
    ['another of ours', new StillpointError('NODE_BUSY', 'x'), false],
    ['another error', systemError('EIO'), false],
    ['no error', 'AbortError', false],
  ])('%s: %s', (_what, error, expected) => expect(isAbort(error)).toBe(expected));
});

describe('a StillpointError', () => {
  it('is bound to a node once, with all that it carries', () => {
    const cause = systemError('EIO');
    const error = new StillpointError('CAPTURE_FAILED', 'x', { hint: 'h', cause });
    expect(error.on('db1')).toMatchObject({ code: 'CAPTURE_FAILED', message: 'x', hint: 'h', node: 'db1', cause });
    const bound = error.on('db1');
    expect(bound.on('db2')).toBe(bound);
  });

  it('has no cause when it was given none', () => {
    expect('cause' in new StillpointError('INTERNAL', 'x')).toBe(false);
  });
});

describe('errnoOf', () => {
  it('knows system errors only', () => {
    expect(errnoOf(systemError('EIO'))).toBe('EIO');
    expect(errnoOf(new Error('x'))).toBeUndefined();
    expect(errnoOf(AbortSignal.abort().reason)).toBeUndefined();
    expect(errnoOf({ code: 'EIO' })).toBeUndefined();
  });
});
