import { doubleUnderTest } from '../fixtures/columnstore/conformance/double-under-test.ts';
import { conformanceSuite } from '../fixtures/columnstore/conformance.ts';

conformanceSuite(() => doubleUnderTest({ modules: [[1, 3], [2]], cmapi: false }));
