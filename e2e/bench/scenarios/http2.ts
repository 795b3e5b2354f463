/** HTTP/2 over TLS from clients, HTTP/1.1 to the backend. */
import { overTls, SESSIONS } from '../http2/client.ts';
import { peers } from '../http2/peers.ts';
import { type Body, bodies } from '../peers/backend.ts';
import type { Result } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { compare } from './compare.ts';

export const scenario: Scenario = {
  name: 'http2',
  about: 'HTTP/2 over TLS in, HTTP/1.1 out, 16 sessions of ten streams, for two sizes of body',
  order: 20,
  quick: false,
  run: http2,
};

async function http2(bench: Bench): Promise<Result[]> {
  const results: Result[] = [];
  for (const [name, body] of [
    ['110 B', bodies.small],
    ['64 KiB', bodies.large],
  ] satisfies [string, Body][]) {
    const contest = {
      id: `http2-${body.bytes}`,
      name: `${name} over TLS`,
      peers,
      request: { ...body, client: overTls, connections: SESSIONS },
      checks: [],
      goals: [{ proxy: 'tidegate', against: 'nginx', atMost: 2.2 }],
    };
    results.push(...(await compare(bench, 'http2', contest)));
  }
  return results;
}
