import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Image, readImages } from '../images.ts';
import { type PlanContext, planContainer } from './container-plan.ts';
import { type ProbeOutcome, probeContainer } from './container-probes.ts';
import { buildEnvironment } from './environment.ts';
import { type LaunchedContainer, type LaunchPlan, launchContainer } from './launch.ts';
import { logFile, trimLogs } from './logs.ts';
import type { ObjectCache } from './objects.ts';
import { type ContainerCommand, type ProbeTarget, runHandler } from './probe.ts';
import type { Container, ContainerState, ContainerStatus, Pod, TerminatedState } from './types.ts';

/** What a container needs of its pod. */
export interface ContainerHost {
  plan: () => PlanContext;
  pod: () => Pod;
  objects: ObjectCache;
  restartPolicy: 'Always' | 'OnFailure' | 'Never';
  /** Something in `status()` has changed. */
  changed: () => void;
  event: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

/** A run this long clears the memory of earlier crashes. */
const stableRunMs = 600_000;
const imageRetryMs = { first: 500, max: 10_000 };
const configRetryMs = 1_000;

/** One container of a pod: its process, started again by the restart policy, its probes and its status. */
export class ContainerRunner {
  readonly spec: Container;
  /** Resolves when the container will not run again. */
  readonly done: Promise<void>;
  readonly #host: ContainerHost;
  readonly #stopping = new AbortController();
  readonly #startedOnce = Promise.withResolvers<void>();
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState = {};
  #restartCount = 0;
  #id = '';
  #started = false;
  #probedReady = false;
  #process: LaunchedContainer | undefined;
  #plan: LaunchPlan | undefined;
  #stopRequest: Promise<void> | undefined;

  constructor(spec: Container, host: ContainerHost) {
    this.spec = spec;
    this.#host = host;
    this.done = this.#run();
  }

  /** Resolves when the container has started and its startup probe, if any, succeeded; what a sidecar's followers wait for. */
  get startedOnce(): Promise<void> {
    return this.#startedOnce.promise;
  }

  status(): ContainerStatus {
    const running = this.#state.running !== undefined;
    const ready = running && this.#started && (this.spec.readinessProbe === undefined || this.#probedReady);
    return {
      name: this.spec.name,
      image: this.spec.image,
      imageID: this.#id === '' ? '' : `process://${this.spec.image}`,
      ...(this.#id === '' ? {} : { containerID: `process://${this.#id}` }),
      ready: ready || this.#state.terminated?.exitCode === 0,
      started: running && this.#started,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#lastState,
    };
  }

  /** How to run a program inside the running container, with its user and environment; undefined when it does not run. */
  inContainer(argv: readonly string[]): ContainerCommand | undefined {
    const pid = this.#process?.pid();
    if (pid === undefined || this.#plan === undefined) return undefined;
    const user = ['--setuid', String(this.#plan.uid), '--setgid', String(this.#plan.gid)];
    const namespaces = ['-m', '-p', '-n', '-i', '-u', '--root', '--wd'];
    return { argv: ['nsenter', '-t', String(pid), ...namespaces, ...user, '--', ...argv], env: this.#plan.env };
  }

  /** preStop, SIGTERM, and SIGKILL when `graceMs` are over; the container does not start again. A second call may shorten the grace. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const first = this.#stopRequest === undefined;
    this.#stopRequest ??= this.#endProcess(graceMs);
    if (!first) setTimeout(() => this.#process?.signal('SIGKILL'), graceMs).unref();
    await this.done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
    let backoffMs = 0;
    while (!signal.aborted) {
      const image = await this.#image(pause);
      if (image === undefined) break;
      const began = Date.now();
      const ended = await this.#runOnce(image);
      if (ended === undefined) {
        await pause(configRetryMs);
        continue;
      }
      this.#process = undefined;
      this.#started = false;
      this.#probedReady = false;
      this.#set({ terminated: ended });
      const again =
        this.#host.restartPolicy === 'Always' || (this.#host.restartPolicy === 'OnFailure' && ended.exitCode !== 0);
      if (!again || signal.aborted) return;
      const { restartBackoffMs, restartBackoffMaxMs } = this.#host.plan().config;
      if (Date.now() - began > stableRunMs) backoffMs = 0;
      if (backoffMs > 0) {
        const message = `back-off ${Math.ceil(backoffMs / 1_000)}s restarting failed container=${this.spec.name}`;
        this.#lastState = { terminated: ended };
        this.#set({ waiting: { reason: 'CrashLoopBackOff', message } });
        this.#host.event('Warning', 'BackOff', `Back-off restarting failed container ${this.spec.name}`);
        await pause(backoffMs);
        if (signal.aborted) {
          this.#set({ terminated: ended });
          return;
        }
      }
      backoffMs = backoffMs === 0 ? restartBackoffMs : Math.min(backoffMs * 2, restartBackoffMaxMs);
      this.#lastState = { terminated: ended };
      this.#restartCount += 1;
    }
    if (this.#state.terminated === undefined) {
      const finishedAt = new Date().toISOString();
      this.#set({
        terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'never started', finishedAt },
      });
    }
  }

  async #image(pause: (ms: number) => Promise<unknown>): Promise<Image | undefined> {
    let waitMs = imageRetryMs.first;
    let reason = 'ErrImagePull';
    while (!this.#stopping.signal.aborted) {
      const image = readImages(this.#host.plan().config.runDirectory)[this.spec.image];
      if (image !== undefined) return image;
      const message = `image "${this.spec.image}" is not in the cluster's image table`;
      this.#set({ waiting: { reason, message } });
      this.#host.event('Warning', 'Failed', `Failed to pull image "${this.spec.image}": ${message}`);
      await pause(waitMs);
      waitMs = Math.min(waitMs * 2, imageRetryMs.max);
      reason = 'ImagePullBackOff';
    }
    return undefined;
  }

  /** Starts the process and waits for its end; undefined when it could not be started for lack of configuration. */
  async #runOnce(image: Image): Promise<TerminatedState | undefined> {
    const context = this.#host.plan();
    const log = logFile(context.podDirectory, this.spec.name, this.#restartCount);
    let launched: LaunchedContainer;
    const startedAt = new Date().toISOString();
    try {
      const facts = { podAddress: context.podAddress, nodeAddress: context.config.address };
      const env = await buildEnvironment(context.pod, this.spec, image.env ?? {}, facts, this.#host.objects);
      this.#plan = planContainer(context, this.spec, image, env, log);
      launched = await launchContainer(this.#plan);
    } catch (error) {
      const { message } = error as Error;
      this.#set({ waiting: { reason: 'CreateContainerConfigError', message } });
      this.#host.event('Warning', 'Failed', `Error: ${message}`);
      return undefined;
    }
    this.#process = launched;
    this.#id = randomUUID();
    trimLogs(context.podDirectory, this.spec.name, this.#restartCount);
    // stop() may have come while the process was being made, and found nothing to signal.
    if (this.#stopping.signal.aborted) launched.signal('SIGKILL');
    this.#set({ running: { startedAt } });
    this.#host.event('Normal', 'Started', `Container ${this.spec.name} started`);
    const probes = new AbortController();
    this.#probe(probes.signal);
    const { postStart } = this.spec.lifecycle ?? {};
    if (postStart !== undefined) void runHandler(postStart, this.#target(), 30_000);
    const exit = await launched.exited;
    probes.abort();
    const message = terminationMessage(this.spec, context.podDirectory, log, exit.exitCode);
    return {
      exitCode: exit.exitCode,
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      reason: exit.exitCode === 0 ? 'Completed' : 'Error',
      ...(message === '' ? {} : { message }),
      startedAt,
      finishedAt: new Date().toISOString(),
      containerID: `process://${this.#id}`,
    };
  }

  #probe(running: AbortSignal): void {
    const { event, changed, pod } = this.#host;
    const outcome: ProbeOutcome = {
      started: () => {
        this.#started = true;
        this.#startedOnce.resolve();
        changed();
      },
      ready: (ready) => {
        this.#probedReady = ready;
        changed();
      },
      failed: (kind, message) => event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`),
      restart: (kind, probe) => {
        event('Normal', 'Killing', `Container ${this.spec.name} failed ${kind} probe, will be restarted`);
        const graceSeconds = probe.terminationGracePeriodSeconds ?? pod().spec.terminationGracePeriodSeconds ?? 30;
        void this.#endProcess(graceSeconds * 1_000);
      },
    };
    probeContainer(this.spec, this.#target(), outcome, running, this.#stopping.signal);
  }

  async #endProcess(graceMs: number): Promise<void> {
    const target = this.#process;
    if (target === undefined) return;
    const deadline = setTimeout(() => target.signal('SIGKILL'), graceMs);
    const { preStop } = this.spec.lifecycle ?? {};
    if (preStop !== undefined && graceMs > 0) {
      const cut = sleep(graceMs, undefined, { ref: false });
      const result = await Promise.race([runHandler(preStop, this.#target(), graceMs), cut]);
      if (result !== undefined && !result.success)
        this.#host.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${result.message}`);
    }
    target.signal('SIGTERM');
    await target.exited.catch(() => undefined);
    clearTimeout(deadline);
  }

  #target(): ProbeTarget {
    return {
      container: this.spec,
      podAddress: this.#host.plan().podAddress,
      inContainer: (argv) => this.inContainer(argv),
    };
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#host.changed();
  }
}

/** What the container left at its terminationMessagePath, else, where its spec says so, the end of its log. */
function terminationMessage(container: Container, podDirectory: string, log: string, exitCode: number): string {
  const own = readOrEmpty(join(podDirectory, 'containers', container.name, 'termination-log')).slice(0, 4_096);
  if (own !== '' || exitCode === 0 || container.terminationMessagePolicy !== 'FallbackToLogsOnError') return own;
  return readOrEmpty(log).slice(-2_048);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
