// Prints `N passed, N failed, N skipped` of a vitest JSON report and exits accordingly.
import { readFileSync } from 'node:fs';

const [report, lint, tests] = process.argv.slice(2);
let counts = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
try {
  counts = JSON.parse(readFileSync(report, 'utf8'));
} catch {
  console.log('no test report was written');
}
const skipped = counts.numPendingTests + counts.numTodoTests;
// A test file that cannot be loaded, or a runner that dies, fails without a failed test.
const uncounted = tests !== '0' && counts.numFailedTests === 0 ? 1 : 0;
const failed = counts.numFailedTests + uncounted + Number(lint !== '0');
console.log(`${counts.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && counts.numPassedTests > 0 ? 0 : 1);
