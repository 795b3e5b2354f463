/** A Backend behind a DNS name. */
import { z } from 'zod';
import { parseDurationMs } from '../../duration.ts';
import { type Rule, withRules } from '../../rule.ts';
import { dnsName, duration, integer } from '../common.ts';

const spec = z.strictObject({
  name: dnsName(
    'A DNS name. Each data plane resolves it and follows its changes; without a dot at the end, search domains complete it as they do for any program of its pod.',
  ),
  port: integer(1, 65535).optional().describe('Port. Required with records: address; SRV records hold their own.'),
  records: z
    .enum(['address', 'srv'])
    .default('address')
    .describe(
      'address: each A and AAAA record is an endpoint. srv: each address of a target of the SRV records is one, with the port, priority and weight of the record.',
    ),
  minTtl: duration(
    'An answer counts for the TTL of its records, but at least for this; 100ms or more. Default 1s.',
  ).optional(),
  maxTtl: duration('An answer counts at most for this; 100ms or more. Default 5m.').optional(),
});
type Spec = z.output<typeof spec>;

const port: Rule<Spec> = {
  cel: "self.records == 'srv' ? !has(self.port) : has(self.port)",
  message: 'set port with records: address, and only there: SRV records hold their ports',
  test: (value) => (value.records === 'srv') === (value.port === undefined),
};

const ttls: Rule<Spec> = {
  cel: "duration(has(self.minTtl) ? self.minTtl : '1s') <= duration(has(self.maxTtl) ? self.maxTtl : '5m') && duration(has(self.minTtl) ? self.minTtl : '1s') >= duration('100ms')",
  message: 'minTtl must be at least 100ms and at most maxTtl',
  test: (value) => {
    const min = parseDurationMs(value.minTtl ?? '1s') ?? 0;
    const max = parseDurationMs(value.maxTtl ?? '5m') ?? 0;
    return min >= 100 && min <= max;
  },
};

export const dns = withRules(spec, port, ttls).meta({ description: 'A DNS name whose addresses are followed.' });
