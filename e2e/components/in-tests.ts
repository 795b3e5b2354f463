import { afterAll, describe, test } from 'vitest';
import type { Component } from './component.ts';

/**
 * A `describe` for tests that need a server: `describeWith(await startRedis(), 'sessions', (redis) => …)`. Skips them where it is
 * undefined, and stops it after the last.
 */
export function describeWith<T extends Component>(
  component: T | undefined,
  name: string,
  tests: (component: T) => void,
): void {
  if (component === undefined) {
    describe.skip(name, () => {
      test('needs a server that is not here', () => {});
    });
    return;
  }
  describe(name, () => {
    afterAll(() => component.stop());
    tests(component);
  });
}
