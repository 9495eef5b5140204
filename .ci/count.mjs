// Prints what failed, with its message, and `N passed, N failed, N skipped` of vitest JSON reports; exits accordingly.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const MESSAGE_LINES = 12;

// Logs are read from their end: whoever sees only that must find the names of what failed there.
function printFailures(files) {
  for (const { name, status, message, assertionResults } of files) {
    const file = relative(process.cwd(), name);
    for (const test of assertionResults.filter((result) => result.status === 'failed')) {
      console.log(`FAILED ${file}: ${test.fullName.trim()}`);
      for (const text of test.failureMessages) console.log(firstLines(text));
    }
    if (status === 'failed' && message) console.log(`FAILED ${file}\n${firstLines(message)}`);
  }
}

function firstLines(text) {
  const own = text.split('\n').filter((line) => !line.includes('/node_modules/'));
  return `  ${own.slice(0, MESSAGE_LINES).join('\n  ')}`;
}

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
    printFailures(counts.testResults);
  } catch {
    console.log(`no test report in ${report}`);
  }
}
// A test file that cannot be loaded, or a runner that dies, fails without a failed test.
if (tests !== '0' && !told) failed += 1;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
