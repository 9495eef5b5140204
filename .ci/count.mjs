// Prints `N passed, N failed, N skipped` of vitest JSON reports and exits accordingly.
import { readFileSync } from 'node:fs';

// Test files that were not run at all count as one skipped test each.
const [lint, tests, absent, ...reports] = process.argv.slice(2);
let passed = 0;
let failed = Number(lint !== '0');
let skipped = Number(absent);
let told = false;
for (const report of reports) {
  try {
    const counts = JSON.parse(readFileSync(report, 'utf8'));
    passed += counts.numPassedTests;
    failed += counts.numFailedTests;
    skipped += counts.numPendingTests + counts.numTodoTests;
    told ||= counts.numFailedTests > 0;
  } catch {
    console.log(`no test report in ${report}`);
  }
}
// A test file that cannot be loaded, or a runner that dies, fails without a failed test.
if (tests !== '0' && !told) failed += 1;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
