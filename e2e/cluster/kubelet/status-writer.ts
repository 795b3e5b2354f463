import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, ApiError } from './api.ts';
import type { Pod, PodStatus } from './types.ts';

const attempts = 40;
const deleteAttempts = 20;

/**
 * Writes one pod's status: one request at a time, always the newest, nothing when nothing changed. Conditions other
 * controllers own survive, because the patch merges them by type.
 */
export class StatusWriter {
  readonly #api: ApiClient;
  readonly #path: string;
  readonly #uid: string;
  #written: PodStatus;
  #pending: PodStatus | undefined;
  #writing: Promise<void> | undefined;

  constructor(api: ApiClient, pod: Pod) {
    this.#api = api;
    this.#path = `/api/v1/namespaces/${pod.metadata.namespace ?? 'default'}/pods/${pod.metadata.name}/status`;
    this.#uid = pod.metadata.uid;
    this.#written = pod.status ?? {};
  }

  /** `compute` gets the conditions as last written (with those of others from `pod`), for their transition times. */
  write(compute: (base: PodStatus) => PodStatus, pod: Pod): void {
    const last = this.#pending ?? this.#written;
    const own = new Set((last.conditions ?? []).map(({ type }) => type));
    const foreign = (pod.status?.conditions ?? []).filter(({ type }) => !own.has(type));
    // A readiness gate's condition is never ours: the object's value counts, not a remembered one.
    const gates = new Set((pod.spec.readinessGates ?? []).map(({ conditionType }) => conditionType));
    const kept = (last.conditions ?? []).filter(({ type }) => !gates.has(type));
    const gateConditions = (pod.status?.conditions ?? []).filter(({ type }) => gates.has(type));
    const status = compute({
      ...last,
      conditions: [...kept, ...foreign.filter(({ type }) => !gates.has(type)), ...gateConditions],
    });
    if (JSON.stringify(status) === JSON.stringify(last)) return;
    this.#pending = status;
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when the newest status is written, or the pod is gone. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #drain(): Promise<void> {
    let failures = 0;
    while (this.#pending !== undefined && failures < attempts) {
      const status = this.#pending;
      this.#pending = undefined;
      try {
        // The uid makes a pod of the same name that came later refuse the patch.
        await this.#api.request('PATCH', this.#path, { metadata: { uid: this.#uid }, status }, 'strategic');
        this.#written = status;
        failures = 0;
      } catch (error) {
        if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return;
        failures += 1;
        this.#pending ??= status;
        if (failures > 2) console.error(`status of ${this.#path}: ${(error as Error).message}`);
        await sleep(Math.min(100 * 2 ** failures, 3_000));
      }
    }
  }
}

/** Removes the object of a pod that is gone from this Node; of no other pod with the same name. */
export async function deletePodObject(api: ApiClient, pod: Pod): Promise<void> {
  const { name, namespace = 'default', uid } = pod.metadata;
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } };
  for (let attempt = 1; attempt <= deleteAttempts; attempt += 1) {
    try {
      await api.request('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, options);
      return;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return;
      await sleep(250 * attempt);
    }
  }
}
