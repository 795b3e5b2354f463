/**
 * A bounded, constant load that counts what a client would notice. No retries: every error and every unexpected status is a
 * failed request. Keep-alive connections are renewed when the gateway asks for it (`connection: close`), as clients do.
 */
import http from 'node:http';

export interface LoadOptions {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Requests at the same time. */
  readonly concurrency: number;
  /** False: a new connection for every request, so that pods that came later get their share. True when absent. */
  readonly keepAlive?: boolean;
  /** Pause of each loop between two requests, ms; 0 for as fast as possible. */
  readonly pauseMs?: number;
  readonly expectStatus?: number;
  /** Ends by itself after this many ms, whatever happens. */
  readonly maxMs: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly failed: number;
  /** First few failures in words. */
  readonly failures: readonly string[];
  /** Answers by the value of their `x-pod` header, where the backend sets one. */
  readonly byPod: ReadonlyMap<string, number>;
  readonly seconds: number;
}

export interface RunningLoad {
  /** Ends it and waits for the requests under way. */
  stop(): Promise<LoadResult>;
  /** So far. */
  readonly sent: () => number;
}

const REQUEST_TIMEOUT_MS = 10_000;

export function startLoad(options: LoadOptions): RunningLoad {
  const agent = new http.Agent({
    keepAlive: options.keepAlive ?? true,
    maxSockets: options.concurrency,
    maxFreeSockets: options.concurrency,
  });
  const startedAt = performance.now();
  const failures: string[] = [];
  const byPod = new Map<string, number>();
  let sent = 0;
  let failed = 0;
  let stopped = false;

  const once = async (): Promise<void> => {
    sent++;
    try {
      const { status, pod, code } = await get(agent, options);
      byPod.set(pod, (byPod.get(pod) ?? 0) + 1);
      if (status === (options.expectStatus ?? 200)) return;
      failed++;
      if (failures.length < 20) failures.push(`status ${status} ${code}`);
    } catch (error) {
      failed++;
      if (failures.length < 20)
        failures.push(`${(error as NodeJS.ErrnoException).code ?? ''} ${(error as Error).message}`);
    }
  };
  const loop = async (): Promise<void> => {
    while (!stopped && performance.now() - startedAt < options.maxMs) {
      await once();
      if (options.pauseMs !== undefined && options.pauseMs > 0) await sleep(options.pauseMs);
    }
  };
  const loops = Promise.all(Array.from({ length: options.concurrency }, loop));
  return {
    sent: () => sent,
    stop: async () => {
      stopped = true;
      await loops;
      agent.destroy();
      return { sent, failed, failures, byPod, seconds: (performance.now() - startedAt) / 1000 };
    },
  };
}

function get(agent: http.Agent, options: LoadOptions): Promise<{ status: number; pod: string; code: string }> {
  return new Promise((resolve, reject) => {
    const request = http.get(
      options.url,
      { agent, headers: options.headers ?? {}, timeout: REQUEST_TIMEOUT_MS },
      (response) => {
        response.on('error', reject);
        let body = '';
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          // The gateway's own answers are problem documents.
          const code = status < 400 ? '' : (/"code":"([^"]*)"/.exec(body)?.[1] ?? '');
          if (response.complete) resolve({ status, pod: String(response.headers['x-pod'] ?? ''), code });
          else reject(new Error('the answer broke off'));
        });
        response.on('data', (bytes: Buffer) => {
          if (body.length < 4096) body += bytes.toString('latin1');
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)));
    request.on('error', reject);
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
