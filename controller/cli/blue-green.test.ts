/** Blue-green under load, the whole program: traffic is flipped again and again, and no request fails. */
import http from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { runFolder, serve } from './running-gateway.fixture.ts';

/** Two programs start, on a machine that may be busy. */
const PATIENCE_MS = 60_000;
const FLIPS = 20;
const CLIENTS = 8;

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

type Colour = 'blue' | 'green';
const other = (colour: Colour): Colour => (colour === 'blue' ? 'green' : 'blue');

test(
  'flipped twenty times by weight, by name and by address: all requests are answered, each flip is seen, and none goes back',
  async () => {
    const ports = {
      blue: await serve(answers('blue'), cleanUp),
      green: await serve(answers('green'), cleanUp),
    };
    const { base, write } = await runFolder({ 'all.yaml': configuration('name', 'blue', ports) }, cleanUp);
    const load = startLoad(`${base}/`);
    cleanUp.push(() => load.stop());

    let colour: Colour = 'blue';
    await expect.poll(() => load.last, { timeout: PATIENCE_MS }).toBe('blue');
    for (let flip = 0; flip < FLIPS; flip++) {
      const before = colour;
      colour = other(colour);
      write('all.yaml', configuration((['weight', 'name', 'address'] as const)[flip % 3] ?? 'name', colour, ports));
      await expect.poll(() => load.last, { timeout: PATIENCE_MS, interval: 5 }).toBe(colour);
      // Every worker takes the change in its own moment; what began before may still come.
      await expect.poll(() => load.since(before) > 100, { timeout: PATIENCE_MS, interval: 5 }).toBe(true);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThan(FLIPS * 100);
  },
  4 * PATIENCE_MS,
);

/** A little late, so that requests are under way at any moment. */
function answers(colour: Colour): http.RequestListener {
  return (_request, response) => setTimeout(() => response.end(colour), 3);
}

/** All traffic to one colour: by the weights of the rule, by the Backend it names, or by where that Backend is. */
function configuration(by: 'weight' | 'name' | 'address', to: Colour, ports: Readonly<Record<Colour, number>>): string {
  const backend = (name: string, port: number) => `---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: ${name} }
spec: { hosts: [{ address: 127.0.0.1, port: ${port} }] }
`;
  const backends = {
    weight: `[{ name: blue, weight: ${to === 'blue' ? 1 : 0} }, { name: green, weight: ${to === 'green' ? 1 : 0} }]`,
    name: `[{ name: ${to} }]`,
    address: '[{ name: live }]',
  }[by];
  return `${backend('blue', ports.blue)}${backend('green', ports.green)}${backend('live', ports[to])}---
apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: shop }
spec: { rules: [{ name: all, backends: ${backends} }] }
`;
}

/** Clients that ask one after the other over connections they keep. */
function startLoad(url: string) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  const failures: string[] = [];
  let last = '';
  let answered = 0;
  let running = true;
  /** Answers since this colour was seen last. */
  const streak = { blue: 0, green: 0 };
  const ask = () =>
    new Promise<void>((resolve) => {
      const request = http.get(url, { agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', (error) => failures.push(String(error)));
        response.on('close', () => {
          if (response.statusCode !== 200 || !(text in streak)) failures.push(`${response.statusCode} ${text}`);
          else {
            answered++;
            last = text;
            streak[text as Colour] = 0;
            streak[other(text as Colour)]++;
          }
          resolve();
        });
      });
      request.on('error', (error) => {
        failures.push(String(error));
        resolve();
      });
    });
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (running) await ask();
  });
  return {
    failures,
    get last() {
      return last;
    },
    get answered() {
      return answered;
    },
    since: (colour: Colour) => streak[colour],
    async stop() {
      running = false;
      await Promise.all(clients);
      agent.destroy();
    },
  };
}
