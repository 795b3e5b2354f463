/** Tells the controller which endpoints get no requests: all of it on every new stream, then changes, gathered for GATHER_MS. */
import type { BackendHealth, HealthReport } from '../snapshot/protocol.ts';

const GATHER_MS = 200;

export interface HealthReporterDeps {
  /** Of all backends. */
  readonly ids: () => Iterable<string>;
  readonly reportOf: (id: string) => BackendHealth | null;
  /** False: it was not sent. */
  readonly send: (report: HealthReport) => boolean;
}

export class HealthReporter {
  readonly #deps: HealthReporterDeps;
  readonly #changed = new Set<string>();
  /** As text; nothing for backends that have nothing to tell. */
  readonly #told = new Map<string, string>();
  #whole = true;
  #connected = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(deps: HealthReporterDeps) {
    this.#deps = deps;
  }

  /** Cheap. */
  changed(id: string): void {
    if (!this.#connected) return;
    this.#changed.add(id);
    this.#soon();
  }

  connected(): void {
    this.#connected = true;
    this.#whole = true;
    this.#flush();
  }

  disconnected(): void {
    this.#connected = false;
    this.close();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#changed.clear();
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#flush();
    }, GATHER_MS).unref();
  }

  #flush(): void {
    const whole = this.#whole;
    const news = new Map<string, BackendHealth | null>();
    for (const id of whole ? this.#deps.ids() : this.#changed) {
      const report = this.#deps.reportOf(id);
      if (whole ? report !== null : textOf(report) !== (this.#told.get(id) ?? '')) news.set(id, report);
    }
    this.#changed.clear();
    if (!whole && news.size === 0) return;
    const backends = Array.from(news, ([id, report]) => report ?? { backend: id, blocked: [], endpoints: 0 });
    if (!this.#deps.send({ whole, backends })) {
      for (const id of news.keys()) this.#changed.add(id);
      this.#soon();
      return;
    }
    this.#whole = false;
    if (whole) this.#told.clear();
    for (const [id, report] of news) {
      if (report === null) this.#told.delete(id);
      else this.#told.set(id, textOf(report));
    }
  }
}

function textOf(report: BackendHealth | null): string {
  return report === null ? '' : JSON.stringify(report);
}
