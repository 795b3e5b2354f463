/** Where objects come from: the Kubernetes API or a folder of YAML files. Both drive the same sink. */
import type { ObjectRef, Problem } from '../api/problem.ts';
import type { ObjectEvent } from '../store/objects.ts';

/** Of one file: what changed in it, for the line a person reads. */
export interface FileOrigin {
  readonly file: string;
  readonly changed: readonly { readonly ref: ObjectRef; readonly change: 'added' | 'changed' | 'removed' }[];
  /** When the change was noticed, `performance.now()` ms. */
  readonly noticedAtMs: number;
}

/** A file that was not taken over: the version before it stays. */
export interface Refusal {
  readonly file: string;
  readonly problems: readonly FileProblem[];
}

/** A Problem with its place in the file; `object` is absent when the text is no YAML or no object. */
export type FileProblem = Omit<Problem, 'object'> & {
  readonly object?: ObjectRef | undefined;
  /** 1-based; absent when unknown. */
  readonly line?: number | undefined;
};

export interface SourceSink {
  /** Called synchronously, in order. `origin` only from the file source. */
  apply(events: readonly ObjectEvent[], origin?: FileOrigin): void;
  /** Once, when everything that was there at the start has been applied. */
  synced(): void;
  /** Only from the file source. */
  refused?(refusal: Refusal): void;
}

export interface Source {
  /** Resolves when the source runs and `synced` was called (file) or is on its way (Kubernetes). */
  start(sink: SourceSink): Promise<void>;
  stop(): Promise<void>;
}
