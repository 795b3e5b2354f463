import { defineConfig } from 'vitest/config';

/** What brings its own parts: the cluster's tests, the CRDs and the controller on an API server, the rendered chart, the bench's arithmetic. */
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: ['**/scenario.test.ts', '**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
