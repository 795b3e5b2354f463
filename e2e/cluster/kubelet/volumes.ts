import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api.ts';
import { type VolumeFile, writeAtomically } from './atomic-files.ts';
import { readData } from './environment.ts';
import { fieldValue, type PodFacts, resourceValue } from './fields.ts';
import type { ObjectCache, ObjectKind } from './objects.ts';
import type { DownwardItem, KeyToPath, Pod, ProjectedSource, Volume } from './types.ts';

const defaultMode = 0o644;
/** A token is asked for anew when this share of its life is over, as a kubelet does. */
const tokenRenewShare = 0.8;
const retryMs = 500;
const checkEveryMs = 60_000;

interface Token {
  value: string;
  /** Milliseconds since the epoch. */
  renewAt: number;
}

/** The volumes of one pod: folders under `directory`, kept up to date with what they show. */
export class PodVolumes {
  readonly #api: ApiClient;
  readonly #objects: ObjectCache;
  readonly #directory: string;
  readonly #facts: PodFacts;
  readonly #tokens = new Map<string, Token>();
  readonly #written = new Map<string, string>();
  #refreshAll: () => Promise<boolean> = async () => true;
  #refreshing: Promise<boolean> = Promise.resolve(true);

  constructor(api: ApiClient, objects: ObjectCache, directory: string, facts: PodFacts) {
    this.#api = api;
    this.#objects = objects;
    this.#directory = directory;
    this.#facts = facts;
  }

  /** Where a volume lies on this machine. */
  path(volume: Volume): string {
    return volume.hostPath?.path ?? join(this.#directory, volume.name);
  }

  /** Makes all volumes, waiting for what they show, and keeps them fresh until the signal. `failed` hears why one can't be made. */
  async prepare(pod: () => Pod, failed: (message: string) => void, signal: AbortSignal): Promise<void> {
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
    this.#refreshAll = async () => {
      try {
        for (const volume of pod().spec.volumes ?? []) await this.#refreshNamed(pod(), volume);
        return true;
      } catch (error) {
        failed((error as Error).message);
        return false;
      }
    };
    while (!signal.aborted && !(await this.refreshSoon())) await pause(retryMs);
    void this.#keepFresh(pause, signal);
  }

  /** Refreshes all volumes after those refreshes that run already; two writers of one volume would be in each other's way. */
  refreshSoon(): Promise<boolean> {
    this.#refreshing = this.#refreshing.then(() => this.#refreshAll());
    return this.#refreshing;
  }

  /** Changes of objects refresh at once; this is for tokens, which end by time. */
  async #keepFresh(pause: (ms: number) => Promise<unknown>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const due = Math.min(...[...this.#tokens.values()].map(({ renewAt }) => renewAt)) - Date.now();
      await pause(Math.min(Math.max(due, 1_000), checkEveryMs));
      if (!signal.aborted) await this.refreshSoon();
    }
  }

  async #refreshNamed(pod: Pod, volume: Volume): Promise<void> {
    try {
      await this.#refreshVolume(pod, volume);
    } catch (error) {
      const { message } = error as Error;
      throw new Error(`MountVolume.SetUp failed for volume "${volume.name}": ${message}`, { cause: error });
    }
  }

  async #refreshVolume(pod: Pod, volume: Volume): Promise<void> {
    if (volume.hostPath !== undefined) return;
    const path = this.path(volume);
    mkdirSync(path, { recursive: true });
    const group = pod.spec.securityContext?.fsGroup;
    if (volume.emptyDir !== undefined) {
      chmodSync(path, 0o777);
      if (group !== undefined) chownSync(path, 0, group);
      return;
    }
    const files = await this.#files(pod, volume);
    const signature = [...files]
      .map(([name, file]) => `${name} ${file.mode} ${file.content.toString('base64')}`)
      .join('\n');
    if (this.#written.get(volume.name) === signature) return;
    writeAtomically(path, files);
    this.#written.set(volume.name, signature);
  }

  async #files(pod: Pod, volume: Volume): Promise<Map<string, VolumeFile>> {
    if (volume.configMap !== undefined) {
      const { name, optional, items, defaultMode: mode } = volume.configMap;
      return this.#objectFiles(pod, 'configmaps', name, optional, items, mode ?? defaultMode);
    }
    if (volume.secret !== undefined) {
      const { secretName, optional, items, defaultMode: mode } = volume.secret;
      return this.#objectFiles(pod, 'secrets', secretName, optional, items, mode ?? defaultMode);
    }
    if (volume.downwardAPI !== undefined) {
      return this.#downwardFiles(pod, volume.downwardAPI.items ?? [], volume.downwardAPI.defaultMode ?? defaultMode);
    }
    if (volume.projected === undefined) throw new Error('unsupported kind of volume');
    const all = new Map<string, VolumeFile>();
    for (const source of volume.projected.sources ?? []) {
      const part = await this.#projectedFiles(pod, source, volume.projected.defaultMode ?? defaultMode);
      for (const [path, file] of part) all.set(path, file);
    }
    return all;
  }

  async #projectedFiles(pod: Pod, source: ProjectedSource, mode: number): Promise<Map<string, VolumeFile>> {
    if (source.configMap !== undefined) {
      return this.#objectFiles(
        pod,
        'configmaps',
        source.configMap.name,
        source.configMap.optional,
        source.configMap.items,
        mode,
      );
    }
    if (source.secret !== undefined) {
      return this.#objectFiles(pod, 'secrets', source.secret.name, source.secret.optional, source.secret.items, mode);
    }
    if (source.downwardAPI !== undefined) return this.#downwardFiles(pod, source.downwardAPI.items ?? [], mode);
    if (source.serviceAccountToken !== undefined) {
      const { path, audience, expirationSeconds } = source.serviceAccountToken;
      const token = await this.#token(pod, audience, expirationSeconds ?? 3_600);
      return new Map([[path, { content: Buffer.from(token), mode }]]);
    }
    throw new Error('unsupported kind of projected source');
  }

  async #objectFiles(
    pod: Pod,
    kind: ObjectKind,
    name: string,
    optional: boolean | undefined,
    items: KeyToPath[] | undefined,
    mode: number,
  ): Promise<Map<string, VolumeFile>> {
    const data = await readData(this.#objects, pod, kind, name, optional);
    if (items === undefined) return new Map(Object.entries(data).map(([key, content]) => [key, { content, mode }]));
    const files = new Map<string, VolumeFile>();
    for (const item of items) {
      const content = data[item.key];
      if (content !== undefined) files.set(item.path, { content, mode: item.mode ?? mode });
      else if (optional !== true) throw new Error(`${kind} "${name}" has no key ${item.key}`);
    }
    return files;
  }

  #downwardFiles(pod: Pod, items: readonly DownwardItem[], mode: number): Map<string, VolumeFile> {
    return new Map(
      items.map((item) => {
        const text =
          item.fieldRef !== undefined
            ? fieldValue(pod, item.fieldRef.fieldPath, this.#facts)
            : resourceValue(pod, undefined, item.resourceFieldRef ?? { resource: '' });
        return [item.path, { content: Buffer.from(text), mode: item.mode ?? mode }];
      }),
    );
  }

  async #token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const key = `${audience ?? ''} ${expirationSeconds}`;
    const kept = this.#tokens.get(key);
    if (kept !== undefined && Date.now() < kept.renewAt) return kept.value;
    const account = pod.spec.serviceAccountName ?? 'default';
    const answer = await this.#api.request<{ status: { token: string; expirationTimestamp: string } }>(
      'POST',
      `/api/v1/namespaces/${pod.metadata.namespace ?? 'default'}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(audience === undefined ? {} : { audiences: [audience] }),
          expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
        },
      },
    );
    const now = Date.now();
    const lifeMs = Date.parse(answer.status.expirationTimestamp) - now;
    this.#tokens.set(key, { value: answer.status.token, renewAt: now + lifeMs * tokenRenewShare });
    return answer.status.token;
  }
}
