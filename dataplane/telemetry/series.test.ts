import { expect, test } from 'vitest';
import { quantileMs } from './histogram.ts';
import { emptyReading, loadBetween } from './load.ts';
import { LoadMeter, METER_BYTES, readMeters } from './meter.ts';
import { addSeries, durationSumMs, OTHER_ROUTE, Series } from './series.ts';

function requestsOf(image: { routes: Map<string, Float64Array> }): Record<string, number> {
  return Object.fromEntries(
    Array.from(image.routes, ([route, row]) => [route, row.slice(0, 6).reduce((a, b) => a + b)]),
  );
}

test('routes beyond the bound are counted together, and no request is lost', () => {
  const series = new Series(2);
  for (const route of ['a', 'b', 'c', 'd', 'a', 'd']) series.count(route, 200, 1, '', -1);
  expect(requestsOf(series.image())).toEqual({ a: 2, b: 1, [OTHER_ROUTE]: 3 });
});

test('a route that is gone makes room for a new one', () => {
  const series = new Series(2);
  for (const route of ['a', 'b']) series.count(route, 200, 1.5, '', -1);
  series.keep((route) => route === 'b');
  series.count('c', 404, 1, 'no-route', -1);
  const image = series.image();
  expect(requestsOf(image)).toEqual({ b: 1, c: 1, [OTHER_ROUTE]: 1 });
  expect(durationSumMs(image.routes.get(OTHER_ROUTE) as Float64Array)).toBe(1.5);
  expect(image.codes).toEqual(new Map([['no-route', 1]]));
});

test('workers are added up within the bound', () => {
  const [one, two] = [new Series(2), new Series(2)];
  for (const route of ['a', 'b']) one.count(route, 200, 1, 'x', 0);
  for (const route of ['b', 'c']) two.count(route, 503, 1, 'x', 14);
  const sum = addSeries([one.image(), two.image()], 2);
  expect(requestsOf(sum)).toEqual({ a: 1, b: 2, [OTHER_ROUTE]: 1 });
  expect(sum.routes.get('b')).toEqual(Float64Array.of(0, 0, 1, 0, 0, 1, 2));
  expect(sum.codes.get('x')).toBe(4);
  expect(Array.from(sum.grpc, ([route, row]) => [route, row[0], row[14]])).toEqual([
    ['a', 1, 0],
    ['b', 1, 1],
    [OTHER_ROUTE, 0, 1],
  ]);
});

test('a meter is read from outside, over several workers, and goes on after a death', () => {
  const [a, b] = [new SharedArrayBuffer(METER_BYTES), new SharedArrayBuffer(METER_BYTES)];
  const [one, two] = [new LoadMeter(a), new LoadMeter(b)];
  for (const meter of [one, two, two]) meter.begin();
  one.end(200, 10, 8, 1, 100);
  two.end(0, 3, -1, 0, 0);
  let reading = readMeters([a, b]);
  expect(reading).toMatchObject({
    inFlight: 1,
    requests: 2,
    durationSumMs: 13,
    upstreamSumMs: 8,
    bytesIn: 1,
    bytesOut: 100,
  });
  expect([...reading.classes]).toEqual([1, 0, 1, 0, 0, 0]);
  expect(quantileMs(reading.upstream, 1)).toBeCloseTo(8, 0);
  new LoadMeter(b);
  reading = readMeters([a, b]);
  expect(reading).toMatchObject({ inFlight: 0, requests: 2 });
});

test('the load report speaks of the interval only', () => {
  const buffer = new SharedArrayBuffer(METER_BYTES);
  const meter = new LoadMeter(buffer);
  const request = (ms: number): void => {
    meter.begin();
    meter.end(200, ms, -1, 0, 0);
  };
  for (let i = 0; i < 100; i++) request(5000);
  const before = readMeters([buffer]);
  expect(loadBetween(emptyReading(), before, 1000)).toMatchObject({ requestsPerSecond: 100, requestsTotal: 100 });
  for (let i = 0; i < 50; i++) request(10);
  meter.begin();
  const load = loadBetween(before, readMeters([buffer]), 500);
  expect(load).toMatchObject({ inFlight: 1, requestsTotal: 150, requestsPerSecond: 100 });
  expect(load.p99Ms).toBeCloseTo(10, 0);
  expect(loadBetween(before, before, 500)).toMatchObject({ requestsPerSecond: 0, p99Ms: 0 });
});
