import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiClient } from './api.ts';
import type { KubeletConfig } from './config.ts';
import { ContainerRunner } from './container.ts';
import { type PlanContext, writePodEtc } from './container-plan.ts';
import { referencedObjects } from './environment.ts';
import type { EventRecorder } from './events.ts';
import type { ObjectCache } from './objects.ts';
import { type AddressPool, createPodNetwork, type PodNetwork, removePodNetwork } from './pod-network.ts';
import { podStatus, unstartedStatus } from './status.ts';
import { deletePodObject, StatusWriter } from './status-writer.ts';
import type { Container, ContainerStatus, Pod } from './types.ts';
import { PodVolumes } from './volumes.ts';

/** What all pods of a Node share. */
export interface PodServices {
  api: ApiClient;
  config: KubeletConfig;
  objects: ObjectCache;
  addresses: AddressPool;
  events: EventRecorder;
}

/** One pod on this Node, from its binding to its removal. */
export class PodWorker {
  /** Resolves when nothing of the pod is left on the Node. */
  readonly finished: Promise<void>;
  readonly directory: string;
  readonly #services: PodServices;
  readonly #status: StatusWriter;
  readonly #stopping = new AbortController();
  readonly #startTime = new Date().toISOString();
  readonly #runners: ContainerRunner[] = [];
  readonly #initRunners: ContainerRunner[] = [];
  #pod: Pod;
  #volumes: PodVolumes | undefined;
  #network: PodNetwork | undefined;
  #initialized = false;
  #stopped = false;
  #graceMs = 30_000;

  constructor(pod: Pod, services: PodServices) {
    this.#pod = pod;
    this.#services = services;
    this.#status = new StatusWriter(services.api, pod);
    this.directory = join(services.config.home, 'pods', pod.metadata.uid);
    this.finished = this.#run().catch((error) =>
      console.error(`pod ${pod.metadata.namespace}/${pod.metadata.name}:`, error),
    );
    this.#observeDeletion();
  }

  get pod(): Pod {
    return this.#pod;
  }

  runner(container: string): ContainerRunner | undefined {
    return [...this.#runners, ...this.#initRunners].find(({ spec }) => spec.name === container);
  }

  /** Takes over a newer version of the object. */
  update(pod: Pod): void {
    const before = this.#pod;
    this.#pod = pod;
    this.#observeDeletion();
    if (pod.metadata.labels !== before.metadata.labels || pod.metadata.annotations !== before.metadata.annotations)
      this.#volumes?.refreshSoon();
    if ((pod.spec.readinessGates ?? []).length > 0) this.#changed();
  }

  /** The object is gone from the API server: nobody waits for grace any more. */
  kill(): void {
    this.#terminate(0);
  }

  #observeDeletion(): void {
    if (this.#pod.metadata.deletionTimestamp === undefined) return;
    const seconds = this.#pod.metadata.deletionGracePeriodSeconds ?? this.#pod.spec.terminationGracePeriodSeconds ?? 30;
    this.#terminate(seconds * 1_000);
  }

  #terminate(graceMs: number): void {
    if (this.#stopping.signal.aborted && graceMs >= this.#graceMs) return;
    const first = !this.#stopping.signal.aborted;
    this.#graceMs = graceMs;
    this.#stopping.abort();
    if (first && this.#runners.length > 0) this.#event('Normal', 'Killing', `Stopping pod ${this.#pod.metadata.name}`);
    // Sidecars outlive the containers they serve; until those run, whatever initialises the pod is stopped.
    for (const runner of this.#runners.length > 0 ? this.#runners : this.#initRunners) void runner.stop(graceMs);
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    const released = this.#followObjects();
    try {
      const phase = this.#pod.status?.phase;
      // A pod a former kubelet brought to its end is only to be removed.
      if (phase !== 'Succeeded' && phase !== 'Failed' && !this.#stopping.signal.aborted) await this.#live();
      if (this.#stopping.signal.aborted) await this.#stopContainers();
      this.#stopped = true;
      if (phase !== 'Succeeded' && phase !== 'Failed') this.#changed();
      await this.#status.settled();
    } finally {
      for (const release of released) release();
      if (this.#network !== undefined && !this.#pod.spec.hostNetwork) {
        await removePodNetwork(this.#network);
        this.#services.addresses.release(this.#network.address);
      }
    }
    await this.#untilDeletion();
    await deletePodObject(this.#services.api, this.#pod);
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #live(): Promise<void> {
    mkdirSync(join(this.directory, 'containers'), { recursive: true });
    this.#network = await this.#createNetwork();
    const { config, api, objects } = this.#services;
    this.#volumes = new PodVolumes(api, objects, join(this.directory, 'volumes'), {
      podAddress: this.#network.address,
      nodeAddress: config.address,
    });
    writePodEtc(this.#plan());
    this.#changed();
    await this.#volumes.prepare(
      () => this.#pod,
      (message) => this.#event('Warning', 'FailedMount', message),
      this.#stopping.signal,
    );
    if (!(await this.#runInitContainers())) return;
    if (this.#stopping.signal.aborted) return;
    this.#initialized = true;
    for (const container of this.#pod.spec.containers)
      this.#runners.push(this.#start(container, this.#pod.spec.restartPolicy ?? 'Always'));
    this.#changed();
    await Promise.all(this.#runners.map(({ done }) => done));
    if (!this.#stopping.signal.aborted)
      await Promise.all(this.#initRunners.map((sidecar) => sidecar.stop(this.#graceMs)));
  }

  async #createNetwork(): Promise<PodNetwork> {
    const { config, addresses } = this.#services;
    if (this.#pod.spec.hostNetwork === true) return { namespace: config.networkNamespace, address: config.address };
    return createPodNetwork(config.networkNamespace, config.address, this.#pod.metadata.uid, addresses.take());
  }

  /** False when an init container failed for good. */
  async #runInitContainers(): Promise<boolean> {
    const podPolicy = this.#pod.spec.restartPolicy ?? 'Always';
    for (const container of this.#pod.spec.initContainers ?? []) {
      if (this.#stopping.signal.aborted) return false;
      const sidecar = container.restartPolicy === 'Always';
      const runner = this.#start(container, sidecar ? 'Always' : podPolicy === 'Never' ? 'Never' : 'OnFailure');
      this.#initRunners.push(runner);
      await (sidecar ? Promise.race([runner.startedOnce, runner.done]) : runner.done);
      if (!sidecar && runner.status().state.terminated?.exitCode !== 0) return false;
    }
    return true;
  }

  #start(container: Container, restartPolicy: 'Always' | 'OnFailure' | 'Never'): ContainerRunner {
    return new ContainerRunner(container, {
      plan: () => this.#plan(),
      pod: () => this.#pod,
      objects: this.#services.objects,
      restartPolicy,
      changed: () => this.#changed(),
      event: (type, reason, message) => this.#event(type, reason, message),
    });
  }

  #plan(): PlanContext {
    if (this.#network === undefined || this.#volumes === undefined) throw new Error('the pod is not set up yet');
    return {
      config: this.#services.config,
      pod: this.#pod,
      podDirectory: this.directory,
      podAddress: this.#network.address,
      networkNamespace: this.#network.namespace,
      volumes: this.#volumes,
    };
  }

  /** Containers first, then sidecars in reverse order, as Kubernetes stops them. */
  async #stopContainers(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop(this.#graceMs)));
    for (const sidecar of this.#initRunners.toReversed()) await sidecar.stop(this.#graceMs);
  }

  #changed(): void {
    const state = {
      podAddress: this.#network?.address,
      nodeAddress: this.#services.config.address,
      startTime: this.#startTime,
      initialized: this.#initialized,
      initContainers: this.#initRunners.map((runner) => runner.status()),
      containers: this.#pod.spec.containers.map((container) => this.#statusOf(container)),
      stopped: this.#stopped,
    };
    this.#status.write((base) => podStatus({ ...this.#pod, status: base }, state, new Date().toISOString()), this.#pod);
  }

  #statusOf(container: Container): ContainerStatus {
    const runner = this.#runners.find(({ spec }) => spec.name === container.name);
    if (runner !== undefined) return runner.status();
    const reason = this.#initRunners.length > 0 ? 'PodInitializing' : 'ContainerCreating';
    return unstartedStatus(container, this.#stopped ? undefined : reason);
  }

  #followObjects(): (() => void)[] {
    const namespace = this.#pod.metadata.namespace ?? 'default';
    return referencedObjects(this.#pod).map(({ kind, name }) =>
      this.#services.objects.follow(kind, namespace, name, () => this.#volumes?.refreshSoon()),
    );
  }

  /** A pod that ran to its end stays as an object until somebody deletes it. */
  async #untilDeletion(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) =>
      this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#services.events.record(this.#pod, type, reason, message);
  }
}
