import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../process.ts';
import type { Container, Handler, HttpGetAction, Probe } from './types.ts';

/** What a handler acts on. */
export interface ProbeTarget {
  container: Container;
  podAddress: string;
  inContainer: (argv: readonly string[]) => ContainerCommand | undefined;
}

/** A program to run inside a container, as seen from outside. */
export interface ContainerCommand {
  argv: string[];
  env: Readonly<Record<string, string>>;
}

export interface ProbeResult {
  success: boolean;
  message: string;
}

/** Runs a probe's or hook's action once, from the Node as a kubelet does; never throws. */
export async function runHandler(handler: Handler, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  try {
    if (handler.httpGet !== undefined) return await httpGet(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket !== undefined) {
      return await tcpConnect(
        handler.tcpSocket.host ?? target.podAddress,
        resolvePort(handler.tcpSocket.port, target.container),
        timeoutMs,
      );
    }
    if (handler.exec !== undefined) {
      const command = target.inContainer(handler.exec.command ?? []);
      if (command === undefined) return { success: false, message: 'the container does not run' };
      const { code, stdout, stderr } = await run(command.argv, { env: command.env, timeoutMs, allowFailure: true });
      return { success: code === 0, message: `exit code ${code}: ${(stdout + stderr).slice(0, 300)}` };
    }
    if (handler.sleep !== undefined) {
      await sleep(handler.sleep.seconds * 1_000);
      return { success: true, message: '' };
    }
    return { success: false, message: 'kind of handler not supported by the process kubelet' };
  } catch (error) {
    return { success: false, message: (error as Error).message };
  }
}

function httpGet(action: HttpGetAction, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const send = action.scheme === 'HTTPS' ? httpsRequest : httpRequest;
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.36', accept: '*/*', connection: 'close' };
  for (const { name, value } of action.httpHeaders ?? []) headers[name] = value;
  return new Promise((resolve) => {
    const outgoing = send(
      {
        host: action.host ?? target.podAddress,
        port: resolvePort(action.port, target.container),
        path: action.path ?? '/',
        headers,
        agent: false,
        // A kubelet does not verify certificates either.
        ...(action.scheme === 'HTTPS' ? { rejectUnauthorized: false } : {}),
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const status = response.statusCode ?? 0;
        response.resume();
        resolve({ success: status >= 200 && status < 400, message: `HTTP probe failed with statuscode: ${status}` });
      },
    );
    outgoing.on('error', (error) => resolve({ success: false, message: `HTTP probe failed: ${error.message}` }));
    outgoing.end();
  });
}

function tcpConnect(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const finish = (success: boolean, message: string) => {
      socket.destroy();
      resolve({ success, message });
    };
    socket.on('connect', () => finish(true, ''));
    socket.on('timeout', () => finish(false, `dial tcp ${host}:${port}: timeout`));
    socket.on('error', (error) => finish(false, error.message));
  });
}

function resolvePort(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(named)) throw new Error(`container ${container.name} has no port named ${port}`);
  return named;
}

/**
 * Repeats a probe until the signal and reports when its thresholds turn the result over; the first report comes with the
 * first threshold reached. `onFailure` hears of every single failure.
 */
export async function repeatProbe(
  probe: Probe,
  target: ProbeTarget,
  report: (success: boolean, message: string) => void,
  onFailure: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
  const periodMs = (probe.periodSeconds ?? 10) * 1_000;
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1_000;
  let last: boolean | undefined;
  let same = 0;
  let inRow = false;
  await pause((probe.initialDelaySeconds ?? 0) * 1_000);
  while (!signal.aborted) {
    const begin = Date.now();
    const { success, message } = await runHandler(probe, target, timeoutMs);
    if (signal.aborted) return;
    same = success === inRow ? same + 1 : 1;
    inRow = success;
    if (!success) onFailure(message);
    const threshold = success ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
    if (same >= threshold && last !== success) {
      last = success;
      report(success, message);
    }
    await pause(Math.max(0, periodMs - (Date.now() - begin)));
  }
}
