/** Durations that must not be next to nothing. */
import { parseDurationMs } from '../../../duration.ts';
import { withRules } from '../../../rule.ts';
import { duration } from '../../common.ts';

function atLeast(min: string, text: string) {
  return withRules(duration(text), {
    cel: `duration(self) >= duration('${min}')`,
    message: `must be at least ${min}`,
    test: (value) => (parseDurationMs(value) ?? 0) >= (parseDurationMs(min) ?? 0),
  });
}

/** Less would ask a server all the time. */
export const atLeastASecond = (text: string) => atLeast('1s', text);

/** Less, and nothing would be done in time. */
export const timeout = (text: string) => atLeast('10ms', text);
