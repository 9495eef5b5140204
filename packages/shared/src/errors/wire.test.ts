import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ErrorDetailSchema } from '../proto/index.ts';
import { ERROR_TABLE, type ErrorCode, fromErrorDetail, StillpointError, toErrorDetail } from './index.ts';

const overTheWire = (error: StillpointError, node?: string): StillpointError =>
  fromErrorDetail(fromBinary(ErrorDetailSchema, toBinary(ErrorDetailSchema, toErrorDetail(error))), node);

const blocker = {
  connectionId: 42,
  user: 'app',
  host: '10.0.0.9',
  ageMs: 61_500,
  command: 'Query',
  statement: 'UPDATE t SET x = 1',
  lockMode: 'MDL_BACKUP_DDL',
};

describe('an error on the wire', () => {
  it('looks like this', () => {
    const error = new StillpointError('LOCK_TIMEOUT', 'db1: BACKUP STAGE BLOCK_COMMIT was not granted within 5.00 s', {
      node: 'db1',
      blockers: [blocker],
      cause: new Error('stays behind'),
    });
    expect(toJson(ErrorDetailSchema, toErrorDetail(error))).toMatchInlineSnapshot(`
      {
        "blockers": [
          {
            "age": "61.500s",
            "command": "Query",
            "connectionId": "42",
            "host": "10.0.0.9",
            "lockMode": "MDL_BACKUP_DDL",
            "statement": "UPDATE t SET x = 1",
            "user": "app",
          },
        ],
        "code": "LOCK_TIMEOUT",
        "hint": "Look at the named sessions; try again when they are gone.",
        "message": "db1: BACKUP STAGE BLOCK_COMMIT was not granted within 5.00 s",
        "node": "db1",
      }
    `);
  });

  it('arrives as it left, whatever is in it', () => {
    const text = fc.string({ unit: 'grapheme' });
    const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const session = fc.record({
      connectionId: count,
      user: text,
      host: text,
      ageMs: fc.integer({ min: 0, max: 10 ** 12 }),
      command: text,
      statement: text,
      lockMode: text,
    });
    const code = fc.constantFrom(...(Object.keys(ERROR_TABLE) as ErrorCode[]));
    const hint = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(code, text, hint, fc.string({ minLength: 1 }), fc.array(session), (code, message, hint, node, blockers) => {
        const {
          code: gotCode,
          message: gotMessage,
          hint: gotHint,
          node: gotNode,
          blockers: got,
        } = overTheWire(new StillpointError(code, message, { hint, node, blockers }));
        expect({ code: gotCode, message: gotMessage, hint: gotHint, node: gotNode, blockers: got }).toEqual({
          code,
          message,
          hint,
          node,
          blockers,
        });
      }),
    );
  });

  it('rounds an age, which the protocol has in whole milliseconds', () => {
    for (const [ageMs, arrives] of [
      [1234.567, 1235],
      [0.2, 0],
    ] as const) {
      expect(overTheWire(new StillpointError('LOCK_TIMEOUT', 'x', { blockers: [{ ...blocker, ageMs }] })).blockers[0]?.ageMs).toBe(arrives);
    }
  });

  it('leaves its cause behind', () => {
    expect(overTheWire(new StillpointError('INTERNAL', 'x', { cause: new Error('secret') })).cause).toBeUndefined();
  });

  it('is bound to the node it came from, unless it names another', () => {
    expect(overTheWire(new StillpointError('NODE_BUSY', 'x'), 'db1').node).toBe('db1');
    expect(overTheWire(new StillpointError('NODE_BUSY', 'x', { node: 'db2' }), 'db1').node).toBe('db2');
    expect(overTheWire(new StillpointError('NODE_BUSY', 'x')).node).toBeUndefined();
  });

  it('of a code that only a newer version knows is INTERNAL and names it', () => {
    const detail = create(ErrorDetailSchema, { code: 'TAPE_JAMMED', message: 'the tape is stuck', hint: 'Open the lid.' });
    expect(fromErrorDetail(detail, 'db1')).toMatchObject({
      code: 'INTERNAL',
      message: 'TAPE_JAMMED: the tape is stuck',
      hint: 'Open the lid.',
      node: 'db1',
    });
  });

  it('without a hint gets that of the table', () => {
    const detail = create(ErrorDetailSchema, { code: 'NODE_BUSY', message: 'x' });
    expect(fromErrorDetail(detail).hint).toBe(ERROR_TABLE.NODE_BUSY.hint);
  });
});
