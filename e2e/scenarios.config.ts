import { defineConfig } from 'vitest/config';

/** The scenarios: all in one cluster, one after the other, as they watch pods come and go. Run through e2e/main.ts. */
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    root: import.meta.dirname,
    include: ['**/scenario.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 180_000,
  },
});
