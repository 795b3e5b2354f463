import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type KubeletConfig, kubeletPort } from './config.ts';
import { logFile, streamLog } from './logs.ts';
import type { PodWorker } from './pod.ts';

/** The kubelet's HTTPS server: `kubectl logs` and a health page. Only clients of the cluster's authority are let in. */
export function startServer(
  config: KubeletConfig,
  findPod: (namespace: string, name: string) => PodWorker | undefined,
): Server {
  const server = createServer(
    {
      cert: readFileSync(config.certFile),
      key: readFileSync(config.keyFile),
      ca: readFileSync(config.authorityFile),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      answer(request, response, findPod).catch((error) => {
        if (!response.headersSent) response.writeHead(500);
        response.end(String((error as Error).message));
      });
    },
  );
  server.listen(kubeletPort, config.address);
  return server;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  findPod: (namespace: string, name: string) => PodWorker | undefined,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const [area = '', namespace = '', name = '', container = ''] = url.pathname
    .split('/')
    .slice(1)
    .map(decodeURIComponent);
  if (area === 'healthz') {
    response.end('ok');
    return;
  }
  if (area !== 'containerLogs') {
    response.writeHead(501).end('the process kubelet serves logs only\n');
    return;
  }
  const worker = findPod(namespace, name);
  const runner = worker?.runner(container);
  if (worker === undefined || runner === undefined) {
    response.writeHead(404).end(`no container ${container} of pod ${namespace}/${name} on this Node\n`);
    return;
  }
  const { restartCount, state } = runner.status();
  // While it waits for its next start, the log of the last run is what there is to see.
  const current = restartCount;
  const previous = url.searchParams.get('previous') === 'true';
  const run = previous ? (state.waiting === undefined ? current - 1 : current) : current;
  if (run < 0) {
    response.writeHead(400).end(`previous terminated container "${container}" in pod "${name}" not found\n`);
    return;
  }
  const number = (key: string) => {
    const text = url.searchParams.get(key);
    return text === null ? {} : { [key]: Number(text) };
  };
  const closed = new AbortController();
  response.on('close', () => closed.abort());
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  const write = (chunk: Buffer) =>
    new Promise<void>((resolve) => {
      if (response.write(chunk)) resolve();
      else {
        response.once('drain', resolve);
        response.once('close', resolve);
      }
    });
  const ended = () => {
    const now = runner.status();
    return now.restartCount !== run || now.state.running === undefined;
  };
  const follow = url.searchParams.get('follow') === 'true' && !previous;
  await streamLog(
    logFile(worker.directory, container, run),
    { follow, ...number('tailLines'), ...number('limitBytes') },
    write,
    ended,
    closed.signal,
  );
  response.end();
}
