import { describe, test } from 'vitest';
import { realEngineUnderTest } from '../fixtures/columnstore/conformance/real-engine-under-test.ts';
import { conformanceSuite } from '../fixtures/columnstore/conformance.ts';

conformanceSuite(() => realEngineUnderTest([[1, 3], [2]]));

describe('asked of the double only, in test/columnstore-double/only-double.test.ts', () => {
  test.for([
    ['cmapi', 'it is no part of the engine that is built'],
    ['startreadonly', 'dbrmctl of 6.4.12 has no such command'],
    ['mcsadmin', 'it ended with 1.4'],
    ['releases without ExeMgr', 'they begin with 22.08'],
  ] as const)('%s: %s', ([, reason], { skip }) => skip(reason));
});
