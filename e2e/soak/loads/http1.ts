/** HTTP/1.1, plain and over TLS: small answers, bodies of 1 MiB both ways, connections that are kept and such that live for one request. */
import http from 'node:http';
import https from 'node:https';
import { BIG } from '../backend.ts';
import type { Group } from '../load.ts';

/** What is sent to a gateway whose certificate nobody signed. */
export const TRUSTING = { servername: 'soak.test', rejectUnauthorized: false };

export function http1(httpPort: number, httpsPort: number): Group {
  const kept = new http.Agent({ keepAlive: true, maxSockets: 64 });
  const keptTls = new https.Agent({ keepAlive: true, maxSockets: 64 });
  const resuming = new https.Agent({ keepAlive: false });
  const strangers = new https.Agent({ keepAlive: false, maxCachedSessions: 0 });
  const plain = { host: '127.0.0.1', port: httpPort, agent: kept };
  const secure = { host: '127.0.0.1', port: httpsPort, agent: keptTls, ...TRUSTING };
  return {
    kinds: [
      { name: 'HTTP/1.1', loops: 16, once: () => ask(http, { ...plain, path: '/' }, null, '0 bytes'.length) },
      {
        name: '1 MiB down',
        loops: 2,
        pauseMs: 50,
        once: () => ask(http, { ...plain, path: '/big' }, null, BIG.length),
      },
      {
        name: '1 MiB up',
        loops: 2,
        pauseMs: 50,
        once: () => ask(http, { ...plain, method: 'POST', path: '/' }, BIG, UP_ANSWER),
      },
      { name: 'HTTPS kept', loops: 8, once: () => ask(https, { ...secure, path: '/' }, null, '0 bytes'.length) },
      {
        name: 'HTTPS 1 MiB down',
        loops: 1,
        pauseMs: 50,
        once: () => ask(https, { ...secure, path: '/big' }, null, BIG.length),
      },
      {
        name: 'HTTPS 1 MiB up',
        loops: 1,
        pauseMs: 50,
        once: () => ask(https, { ...secure, method: 'POST', path: '/' }, BIG, UP_ANSWER),
      },
      { name: 'HTTPS fresh', loops: 2, once: () => ask(https, { ...secure, agent: strangers }, null, 7) },
      { name: 'HTTPS resumed', loops: 2, once: () => ask(https, { ...secure, agent: resuming }, null, 7) },
    ],
    close: () => {
      for (const agent of [kept, keptTls, resuming, strangers]) agent.destroy();
    },
  };
}

const UP_ANSWER = `${BIG.length} bytes`.length;

/** Rejects unless it is answered with 200 and so many bytes. */
function ask(
  over: typeof http | typeof https,
  options: https.RequestOptions,
  body: Buffer | null,
  bytes: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = over.request({ timeout: 20_000, ...options }, (response) => {
      let got = 0;
      response.on('data', (chunk: Buffer) => {
        got += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200 && got === bytes) resolve();
        else reject(new Error(`${response.statusCode} with ${got} bytes`));
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 20 s')));
    request.on('error', reject);
    request.end(body);
  });
}
