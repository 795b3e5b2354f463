/** A data plane for tests: a real gRPC client that keeps what it is sent, and answers as the test says. */
import { type ChannelCredentials, type ClientDuplexStream, credentials as grpcCredentials } from '@grpc/grpc-js';
import {
  createSnapshotsClient,
  type Delta,
  type FromDataPlane,
  type HealthReport,
  type Hello,
  type LoadReport,
  type Refusal,
  type Share,
  type SnapshotsClient,
  type ToDataPlane,
  type Verdict,
} from '@tidegate/dataplane/snapshot/protocol';
import { revisionOf } from '@tidegate/dataplane/snapshot/revision';
import { SCHEMA_VERSION } from '@tidegate/dataplane/snapshot/schema-version';

export interface TestDelta {
  readonly baseRevision: string;
  readonly revision: string;
  readonly upsert: readonly string[];
  readonly removed: readonly string[];
  readonly parts: number;
}

export interface TestOptions {
  readonly credentials?: ChannelCredentials;
  readonly hello?: Partial<Hello>;
  readonly held?: ReadonlyMap<string, string>;
  /** Undefined: no answer. */
  readonly answer?: (delta: TestDelta, plane: TestDataPlane) => Partial<Verdict> | undefined;
}

export class TestDataPlane {
  readonly held: Map<string, string>;
  readonly deltas: TestDelta[] = [];
  revision: string;
  refusal: Refusal | null = null;
  error: (Error & { code?: number; details?: string }) | null = null;
  ended = false;
  /** As last told. */
  share: Share | null = null;
  readonly #client: SnapshotsClient;
  readonly #stream: ClientDuplexStream<FromDataPlane, ToDataPlane>;
  readonly #options: TestOptions;
  readonly #node: string;
  #parts: Delta[] = [];
  #waiters: (() => void)[] = [];

  constructor(address: string, node: string, options: TestOptions = {}) {
    this.#options = options;
    this.#node = node;
    this.held = new Map(options.held);
    this.revision = options.held === undefined ? '' : revisionOf(options.held);
    this.#client = createSnapshotsClient(address, options.credentials ?? grpcCredentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.ssl_target_name_override': 'controller.test',
    });
    this.#stream = this.#client.Subscribe();
    this.#stream.on('data', (message: ToDataPlane) => this.#receive(message));
    this.#stream.on('error', (error) => {
      this.error = error;
      this.#wake();
    });
    this.#stream.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    this.#write({
      message: 'hello',
      hello: {
        node,
        zone: '',
        schemaVersion: SCHEMA_VERSION,
        revision: this.revision,
        programVersion: 'test',
        gateway: 'tidegate',
        share: null,
        held: [...this.held].map(([id, hash]) => ({ id, hash })),
        ...options.hello,
      },
    });
  }

  load(report: Partial<LoadReport> = {}): void {
    this.#write({
      message: 'load',
      load: {
        ready: true,
        draining: false,
        inFlight: 0,
        requestsTotal: 0,
        requestsPerSecond: 0,
        eventLoopUtilisation: 0,
        p99Ms: 0,
        revision: this.revision,
        workers: 1,
        ...report,
      },
    });
  }

  health(health: HealthReport): void {
    this.#write({ message: 'health', health });
  }

  verdict(verdict: Partial<Verdict>): void {
    this.#write({
      message: 'verdict',
      verdict: { revision: this.revision, accepted: true, rejected: [], message: '', ...verdict },
    });
  }

  /** Resolves when `done` holds, checked at every message; rejects after `timeoutMs`. */
  async until(done: (plane: TestDataPlane) => boolean, what: string, timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!done(this)) {
      if (performance.now() > deadline) throw new Error(`${this.#node}: never ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#client.close();
  }

  #write(message: FromDataPlane): void {
    this.#stream.write(message);
  }

  #receive(message: ToDataPlane): void {
    if (message.message === 'refusal') this.refusal = message.refusal;
    if (message.message === 'share') this.share = message.share;
    if (message.message === 'delta') {
      this.#parts.push(message.delta);
      if (message.delta.last) this.#apply(this.#parts.splice(0));
    }
    this.#wake();
  }

  #apply(parts: readonly Delta[]): void {
    const first = parts[0] as Delta;
    const upsert = parts.flatMap((part) => part.upsert);
    const removed = parts.flatMap((part) => part.removed);
    const delta: TestDelta = {
      baseRevision: first.baseRevision,
      revision: first.revision,
      upsert: upsert.map((resource) => resource.id),
      removed,
      parts: parts.length,
    };
    this.deltas.push(delta);
    const fits = delta.baseRevision === '' || delta.baseRevision === this.revision;
    const answer = this.#options.answer === undefined ? {} : this.#options.answer(delta, this);
    if (answer === undefined) return;
    if (!fits || answer.accepted === false) {
      const message = fits ? (answer.message ?? '') : `holds ${this.revision}`;
      this.verdict({ revision: delta.revision, accepted: false, message });
      return;
    }
    if (delta.baseRevision === '') this.held.clear();
    for (const { id, hash } of upsert) this.held.set(id, hash);
    for (const id of removed) this.held.delete(id);
    this.revision = revisionOf(this.held);
    if (this.revision !== delta.revision) throw new Error(`the delta to ${delta.revision} leads to ${this.revision}`);
    this.verdict({ ...answer, revision: delta.revision });
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
