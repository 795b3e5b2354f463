/** One batch through the line: store, compile, push, status. */
import type { ObjectRef, Problem } from './api/problem.ts';
import type { Compiler } from './compile/compiler.ts';
import type { Log } from './log.ts';
import type { Publisher } from './push/publish.ts';
import type { StatusBoard } from './status/board.ts';
import { keyOf, type ObjectKey, refOf } from './store/objects.ts';
import type { Store } from './store/store.ts';
import type { Batch } from './watch/loop.ts';
import type { FileOrigin, Refusal } from './watch/source.ts';

export interface LineOptions {
  readonly store: Store;
  readonly compiler: Compiler;
  readonly publisher: Publisher;
  readonly board: StatusBoard;
  readonly log: Log;
  readonly onCompiled: (tookMs: number) => void;
  /** Objects whose held status may have changed without a change of the spec. */
  readonly onSeen: (keys: readonly ObjectKey[]) => void;
}

/** While a push is in flight, changes gather for at most this long (DESIGN 4.5). */
const GATHER_MS = 50;
/** A data plane that has not answered by then is told of without. */
const LIVE_TIMEOUT_MS = 5_000;

export class Line {
  readonly #options: LineOptions;
  compileMs = 0;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** Resolves when the next batch may run. */
  async run(batch: Batch): Promise<void> {
    const { store, compiler, publisher, board, onCompiled, onSeen } = this.#options;
    const startedAtMs = performance.now();
    const change = store.apply(batch.events);
    const first = publisher.history.sequence === 0;
    if (change.refs.length > 0 || first) {
      const result = compiler.apply(change);
      this.compileMs = performance.now() - startedAtMs;
      onCompiled(this.compileMs);
      publisher.publish(result);
      board.compiled(result, publisher.history.sequence);
    }
    onSeen(
      batch.events.flatMap((event) =>
        event.type === 'upsert' && 'status' in event.object ? [keyOf(refOf(event.object))] : [],
      ),
    );
    if (batch.origins.length > 0) void this.#report(batch.origins);
    await publisher.settled(GATHER_MS);
  }

  refused(refusal: Refusal): void {
    const problems = refusal.problems.map(({ object, path, message, line }) => ({
      ...(object === undefined ? {} : { object: `${object.namespace}/${object.name}` }),
      path,
      message,
      ...(line === undefined ? {} : { line }),
    }));
    this.#options.log.warn({ event: 'refused', file: refusal.file, problems }, 'a file was not taken over');
  }

  /** One log line a file, when what it changed is live. */
  async #report(origins: readonly FileOrigin[]): Promise<void> {
    const { publisher, board, log } = this.#options;
    const live = await publisher.acknowledged(publisher.history.sequence, LIVE_TIMEOUT_MS);
    for (const { file, changed, noticedAtMs } of origins) {
      const problems = changed.flatMap(({ ref }) => (board.outcome(keyOf(ref))?.problems ?? []).map(describeProblem));
      log.info({
        event: 'applied',
        file,
        changed: changed.map(({ ref, change }) => `${describe(ref)} ${change}`),
        tookMs: Math.round((performance.now() - noticedAtMs) * 10) / 10,
        live,
        ...(problems.length === 0 ? {} : { problems }),
      });
    }
  }
}

function describe({ kind, namespace, name }: ObjectRef): string {
  return `${kind.toLowerCase()} ${namespace}/${name}`;
}

function describeProblem({ object, path, message }: Problem): Record<string, string> {
  return { object: `${object.namespace}/${object.name}`, path, message };
}
