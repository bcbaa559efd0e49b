/**
 * A reporter that names each test that passed at its second try only, with what its first one
 * failed of: a race that a busy machine opened, to be closed all the same.
 */
import { relative } from "node:path";
import type { Reporter, TestCase } from "vitest/node";

export default class SecondTries implements Reporter {
  readonly #tests: TestCase[] = [];

  onTestCaseResult(testCase: TestCase): void {
    if (testCase.diagnostic()?.flaky === true) this.#tests.push(testCase);
  }

  onTestRunEnd(): void {
    if (this.#tests.length === 0) return;
    process.stderr.write(`\nPassed at the second try only: ${this.#tests.length}\n`);
    for (const testCase of this.#tests) process.stderr.write(lineOf(testCase));
  }
}

function lineOf(testCase: TestCase): string {
  const file = relative(testCase.project.config.root, testCase.module.moduleId);
  const [first] = testCase.result().errors ?? [];
  return `  ${file} > ${testCase.fullName}\n    ${first?.stack ?? first?.message}\n`;
}
