import { configDefaults, defineConfig } from 'vitest/config';

// Workspace packages are tested from their TypeScript sources.
const resolve = { conditions: ['source'] };
const ssr = { resolve: { conditions: ['source'], externalConditions: ['source'] } };

export default defineConfig({
  resolve,
  ssr,
  test: {
    projects: [
      // Some start programs or hundreds of threads: on a slow machine that alone takes longer than the 5 s that vitest gives by itself.
      { extends: true, test: { name: 'unit', include: ['packages/*/src/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, 'test/columnstore/**'],
          // Real servers: the machine bounds how many run at once, not the test runner.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'columnstore',
          include: ['test/columnstore/**/*.test.ts'],
          // Each of them fills the machine with an engine or three.
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
