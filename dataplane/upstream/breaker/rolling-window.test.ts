import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RollingWindow } from './rolling-window.ts';

test('counts what lies in the running part and those before it that still belong to the window', () => {
  const event = fc.record({
    afterMs: fc.oneof(fc.nat(50), fc.nat(3_000)),
    failed: fc.boolean(),
    slow: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), fc.integer({ min: 1, max: 12 }), (events, parts) => {
      const window = new RollingWindow(1_200, parts);
      const partMs = 1_200 / parts;
      const seen: { part: number; failed: boolean; slow: boolean }[] = [];
      let nowMs = 1_000_000;
      for (const { afterMs, failed, slow } of events) {
        nowMs += afterMs;
        window.add(nowMs, failed, slow);
        const part = Math.floor(nowMs / partMs);
        seen.push({ part, failed, slow });
        const counted = seen.filter((one) => part - one.part < parts);
        expect([window.total, window.failures, window.slow]).toEqual([
          counted.length,
          counted.filter((one) => one.failed).length,
          counted.filter((one) => one.slow).length,
        ]);
      }
    }),
  );
});
