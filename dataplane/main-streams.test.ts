/** WebSocket and events through the whole program: changes of the configuration do not touch them, SIGTERM ends them one by one. */
import http from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WebSocket as Accepted, WebSocketServer } from 'ws';
import { eventually } from './engine.fixture.ts';
import { respondFixture, ruleFixture } from './snapshot/fixtures.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { proxied, publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const SOCKETS = 6;
const LISTENERS = 6;

test('streams live through changes, and end spread over the window when the program goes', async () => {
  const listening = new Set<http.ServerResponse>();
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 0\n\n');
    listening.add(response);
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (one: Accepted) =>
      one.on('message', (data) => one.send(String(data))),
    ),
  );
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  scene.after(() => server.close());
  scene.after(() => server.closeAllConnections());
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`;

  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_DRAIN_STREAMS_MS: '1500', TIDEGATE_WORKERS: '1' });
  const stream = await controller.streams.next();
  const first = new TestSnapshot(proxied(address));
  await publish(stream, first);
  const ports = await dataplane.ready();

  const clients = await Promise.all(Array.from({ length: SOCKETS }, () => open(`ws://127.0.0.1:${ports.http}/ws`)));
  const events = await Promise.all(Array.from({ length: LISTENERS }, () => listen(ports.http)));
  const metrics = async () => await (await fetch(`http://127.0.0.1:${ports.admin}/metrics`)).text();
  expect(await metrics()).toMatch(
    new RegExp(`tidegate_streams{kind="upgrade"} ${SOCKETS}\\ntidegate_streams{kind="events"} ${LISTENERS}\\n`),
  );

  // Another configuration, in which neither the route nor the backend is left.
  await publish(stream, new TestSnapshot([ruleFixture('shop/other/r', { action: respondFixture('new') })]), first);
  const answer = await fetch(`http://127.0.0.1:${ports.http}/ws`, { headers: { connection: 'close' } });
  expect(await answer.text()).toBe('new');
  for (const client of clients) expect(await client.ask('still here')).toBe('still here');
  for (const response of listening) response.write('data: after\n\n');
  await eventually(() => events.every(({ text }) => text().includes('data: after')));

  dataplane.kill('SIGTERM');
  const ended = await Promise.all([...clients.map(({ ended }) => ended), ...events.map(({ ended }) => ended)]);
  const times = ended.sort((a, b) => a - b);
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(300);
  expect(events.every(({ complete }) => complete())).toBe(true);
  expect(await dataplane.exited).toEqual({ code: 0, signal: null });
  const lines = dataplane.lines.all.filter(({ code }) => code === 'drained');
  expect(lines).toHaveLength(SOCKETS + LISTENERS);
  expect(lines[0]?.durationMs).toBeGreaterThan(0);
}, 60_000);

async function open(url: string) {
  const client = new WebSocket(url);
  await new Promise((resolve, reject) => {
    client.onopen = resolve;
    client.onerror = reject;
  });
  client.onerror = null;
  return {
    ended: new Promise<number>((resolve) => {
      client.onclose = () => resolve(performance.now());
    }),
    ask: (text: string) =>
      new Promise((resolve) => {
        client.onmessage = ({ data }) => resolve(data);
        client.send(text);
      }),
  };
}

function listen(port: number) {
  return new Promise<{ text: () => string; complete: () => boolean; ended: Promise<number> }>((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/events', agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      const ended = new Promise<number>((done) => response.once('close', () => done(performance.now())));
      resolve({ text: () => text, complete: () => response.complete, ended });
    });
    request.once('error', reject);
  });
}
