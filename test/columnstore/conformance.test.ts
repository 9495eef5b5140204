import { realEngineUnderTest } from '../fixtures/columnstore/conformance/real-engine-under-test.ts';
import { conformanceSuite } from '../fixtures/columnstore/conformance.ts';

conformanceSuite(() => realEngineUnderTest([[1, 3], [2]]));
