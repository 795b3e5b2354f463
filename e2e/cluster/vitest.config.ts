import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['e2e/cluster/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 60_000,
    // The first run on a machine builds Kubernetes.
    hookTimeout: 30 * 60_000,
  },
});
