/** Fault injection as the data plane runs it. */
import { durationMs } from '../../api/duration.ts';
import type { SectionSpec } from '../../model/policy.ts';
import { perMillion } from '../edits.ts';
import type { Compiled } from './compile.ts';

export function compileFault({ delay, abort, header }: SectionSpec<'fault'>): Compiled<'fault'> {
  return {
    section: 'fault',
    ...(delay === undefined
      ? {}
      : { delay: { durationMs: durationMs(delay.duration), perMillion: perMillion(delay.percent) } }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            status: abort.status,
            perMillion: perMillion(abort.percent),
            ...(abort.message === undefined ? {} : { message: abort.message }),
          },
        }),
    ...(header === undefined ? {} : { header: header.toLowerCase() }),
  };
}
