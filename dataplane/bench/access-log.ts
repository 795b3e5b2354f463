/** What one line of the access log costs a worker: `node dataplane/bench/access-log.ts`. */
import { MessageChannel } from 'node:worker_threads';
import type { CompiledRule } from '../pipeline/chain.ts';
import { type Downstream, Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { ruleFixture } from '../snapshot/fixtures.ts';
import { createLineFormat } from '../telemetry/access-log.ts';
import { BATCH_BYTES, LineBatch } from '../telemetry/line-batch.ts';
import { LoadMeter, METER_BYTES } from '../telemetry/meter.ts';
import { Series } from '../telemetry/series.ts';
import { measure, report } from './measure.ts';

const resource = ruleFixture('shop/orders/read');
const rule = { id: resource.id, resource } as CompiledRule;
const exchanges = Array.from({ length: 1024 }, (_, i) => {
  const headers = new Headers([
    'host',
    'api.example.com',
    'accept',
    '*/*',
    'user-agent',
    'Mozilla/5.0 (X11; Linux x86_64)',
  ]);
  const exchange = new Exchange(
    'GET',
    `/orders/${i}`,
    'q=1',
    'api.example.com',
    'api.example.com',
    'http',
    'HTTP/1.1',
    headers,
    '10.1.2.3',
    {} as Downstream,
    0,
  );
  exchange.requestId = `0192f3c1-0000-7000-8000-${String(i).padStart(12, '0')}`;
  exchange.rule = rule;
  exchange.status = 200;
  exchange.bytesOut = 113;
  exchange.backend = 'shop/orders';
  exchange.endpoint = '10.244.1.17:8080';
  exchange.upstreamMs = 1.234 + i / 1000;
  return exchange;
});
const pick = (i: number): Exchange => exchanges[i & 1023] as Exchange;
const write = createLineFormat({ query: false, epochMs: Date.now });

let sink = 0;
const local = new LineBatch({
  size: BATCH_BYTES,
  delayMs: 1e6,
  handOver: (lines) => {
    sink += lines.length;
    local.giveBack(lines.buffer);
  },
});
write(pick(0), 1.5, local);
console.log(local.reserve(0).toString('latin1', 0, local.used));
report(
  'write a line',
  measure((i) => {
    write(pick(i), performance.now(), local);
    return 0;
  }),
);

const { port1, port2 } = new MessageChannel();
port2.unref();
const sent = new LineBatch({
  size: BATCH_BYTES,
  delayMs: 1e6,
  handOver: (lines) => port1.postMessage(lines, [lines.buffer]),
});
report(
  'write a line, post to the supervisor',
  measure((i) => {
    write(pick(i), performance.now(), sent);
    return 0;
  }),
);
port1.close();

const meter = new LoadMeter(new SharedArrayBuffer(METER_BYTES));
report(
  'meter: begin and end',
  measure((i) => {
    meter.begin();
    meter.end(200, (i & 4095) / 100, 1, 0, 113);
    return 0;
  }),
);
const series = new Series(1000);
report(
  'series: count',
  measure((i) => series.count('shop/orders', 200, (i & 4095) / 100, '', -1) ?? 0),
);
if (sink < 0) throw new Error('unreachable');
process.exit(0);
