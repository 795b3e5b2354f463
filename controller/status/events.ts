/** Kubernetes Events (events.k8s.io/v1) for new problems. They are a courtesy: a lost one is logged, never retried. */
import { createHash } from 'node:crypto';
import type { ApiServer } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DesiredStatus } from './board.ts';
import type { StatusCondition } from './programmed.ts';

export const REPORTING_CONTROLLER = 'tidegate.dev/controller';
/** Longest `note` the API server takes, in bytes. */
const MAX_NOTE_BYTES = 1024;
const MAX_WAITING = 256;

export interface EventsOptions {
  readonly api: ApiServer;
  readonly replica: string;
  readonly clock: Clock;
  readonly log: Log;
}

export class EventRecorder {
  readonly #options: EventsOptions;
  #waiting: (() => Promise<void>)[] = [];
  #running = false;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /** One Event for the worst of what is new about an object. */
  record(status: DesiredStatus, news: readonly StatusCondition[]): void {
    const worst = news[0];
    if (worst === undefined || this.#waiting.length >= MAX_WAITING) return;
    const event = this.#event(status, worst);
    this.#waiting.push(() => this.#send(status.ref.namespace, event));
    void this.#drain();
  }

  async #drain(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await next();
    this.#running = false;
  }

  async #send(namespace: string, event: Record<string, unknown>): Promise<void> {
    const path = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    try {
      await this.#options.api.request({ method: 'POST', path, body: event, timeoutMs: 5_000 });
    } catch (error) {
      this.#options.log.warn({ namespace, error: describeError(error) }, 'an Event could not be written');
    }
  }

  #event(status: DesiredStatus, problem: StatusCondition): Record<string, unknown> {
    const { ref, uid } = status;
    const now = this.#options.clock.date();
    // A rejection is told by its condition alone; for what the compiler found, the first problem says where.
    const compiled = problem.type !== 'Programmed' && problem.type !== 'Endpoints';
    const note = compiled && status.detail !== '' ? status.detail : problem.message;
    const stamp = createHash('sha256').update(`${problem.type} ${problem.reason} ${note}`).digest('hex').slice(0, 8);
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${ref.name.slice(0, 220)}.${now.getTime().toString(16)}${stamp}`, namespace: ref.namespace },
      eventTime: now.toISOString().replace('Z', '000Z'),
      reportingController: REPORTING_CONTROLLER,
      reportingInstance: this.#options.replica.slice(0, 128),
      action: problem.type === 'Endpoints' ? 'CheckHealth' : compiled ? 'Compile' : 'Program',
      reason: problem.reason,
      regarding: {
        apiVersion: 'tidegate.dev/v1alpha1',
        kind: ref.kind,
        namespace: ref.namespace,
        name: ref.name,
        ...(uid === undefined ? {} : { uid }),
      },
      note: shorten(note),
      type: 'Warning',
    };
  }
}

/** Cut at a character, not within one. */
function shorten(text: string): string {
  if (Buffer.byteLength(text) <= MAX_NOTE_BYTES) return text;
  let bytes = 0;
  let out = '';
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_NOTE_BYTES - 3) break;
    out += character;
  }
  return `${out}…`;
}
