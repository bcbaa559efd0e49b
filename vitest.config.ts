import { defineConfig } from "vitest/config";

/** Against what hangs, not against what is slow: a busy machine takes several times as long. */
const settings = { testTimeout: 60_000, hookTimeout: 240_000, allowOnly: false };

/**
 * Of a test with real processes on a shared machine: test/support/second-tries.ts names each that
 * needed its second try, as a race to be closed.
 */
const retry = 1;

/** Run against the shared services that test/support/global-setup.ts starts. */
const withServices = [
  "test/integration/**/*.test.ts",
  "test/e2e/**/*.test.ts",
  "test/statemachines/deployed/**/*.test.ts",
];
/** Start what they need themselves. */
const contracts = ["test/contract/**/*.test.ts"];
/** On servers that `npm test` does not start: `npm run test:servers` asks for them. */
const servers = ["test/servers/**/*.test.ts"];

/**
 * Two files at a time, also on two processors, of which Vitest would use one: most tests wait, for
 * leases, elections and processes that start. More at a time would wait for the processors, and for
 * the one broker and emulator that all share.
 */
const maxWorkers = 2;

export default defineConfig({
  test: {
    maxWorkers,
    projects: [
      {
        test: {
          ...settings,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [...withServices, ...contracts, ...servers],
        },
      },
      { test: { ...settings, name: "contract", include: contracts, retry } },
      ...(process.env.TEST_SERVERS === "true"
        ? [{ test: { ...settings, name: "servers", include: servers } }]
        : []),
      {
        test: {
          ...settings,
          name: "services",
          include: withServices,
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 120_000,
          retry,
        },
      },
    ],
  },
});
