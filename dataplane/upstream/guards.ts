/**
 * What guards a backend: outlier detection, breakers and limits, as far as they are configured. What they know stays through changes of
 * other settings, by endpoint; a changed setting starts anew.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TimerWheel } from '../io/wheel.ts';
import type { Log } from '../log.ts';
import type { Circuit as CircuitSettings } from '../snapshot/backend/breaker.ts';
import type { BackendResource } from '../snapshot/resources.ts';
import { Notices } from '../telemetry/notices.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import { Breaker } from './breaker/breaker.ts';
import type { CircuitState } from './breaker/circuit.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { AdaptiveLimit } from './limits/adaptive-limit.ts';
import { RequestLimit } from './limits/request-limit.ts';
import { OutlierDetector } from './outlier/detector.ts';
import type { EndpointRecord } from './outlier/endpoint-record.ts';
import { EJECTED, type Gate, OPEN } from './watcher.ts';

export interface GuardDependencies {
  readonly wheel: TimerWheel;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Default: counted nowhere. */
  readonly counter?: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  readonly log?: Log;
}

/** What /debug/config shows of an endpoint. */
export interface EndpointGuardState {
  readonly breaker?: CircuitState;
  /** Ejections in a row; intervals in its place take them off again. */
  readonly ejections?: number;
  /** ms until it is back. */
  readonly ejectedForMs?: number;
}

/** Of the whole backend. */
export interface BackendGuardState {
  readonly breaker?: CircuitState;
  /** The adaptive limit now. */
  readonly limit?: number;
}

interface EndpointGuard {
  outlier: EndpointRecord | null;
  breaker: Breaker | null;
}

/** In `tidegate_breaker_transitions_total`. */
type Scope = 'endpoint' | 'backend';

const BREAKER_NOTES: Readonly<Record<CircuitState, string>> = {
  open: 'a circuit breaker is open',
  halfOpen: 'a circuit breaker is half open',
  closed: 'a circuit breaker is closed again',
};

export class Guards {
  /** Of the whole backend, in the order they are asked. */
  gates: readonly Gate[] = [];
  private readonly name: string;
  private readonly deps: GuardDependencies;
  private readonly notices: Notices;
  private readonly endpoints = new Map<EndpointPool, EndpointGuard>();
  private detector: OutlierDetector | null = null;
  private circuit: CircuitSettings | undefined;
  private breaker: Breaker | null = null;
  private limit: RequestLimit | null = null;
  private adaptive: AdaptiveLimit | null = null;

  /** `name`: `<namespace>/<name>`. */
  constructor(name: string, deps: GuardDependencies) {
    this.name = name;
    this.deps = deps;
    this.notices = new Notices(deps.log, deps.wheel.now);
  }

  /**
   * New settings, and the endpoints as they are now: of those that went it is to be told by `gone`,
   * after this.
   */
  configure({ health, breaker, pool: limits }: BackendResource, pools: readonly EndpointPool[]): void {
    const { wheel } = this.deps;
    const before = this.gates;
    // What a new limit will be told the end of.
    const inFlight = pools.reduce((sum, { active }) => sum + active, 0);
    if (!isDeepStrictEqual(breaker?.backend, this.breaker?.settings)) {
      this.breaker?.close();
      this.breaker = breaker?.backend === undefined ? null : this.createBreaker(breaker.backend, 'backend', null);
    }
    if (limits.maxRequests === undefined) this.limit = null;
    else if (this.limit === null) this.limit = new RequestLimit(limits.maxRequests, inFlight);
    else this.limit.max = limits.maxRequests;
    if (!isDeepStrictEqual(limits.adaptive, this.adaptive?.settings)) {
      this.adaptive = limits.adaptive === undefined ? null : new AdaptiveLimit(limits.adaptive, inFlight, wheel);
    }
    this.gates = [this.limit, this.adaptive, this.breaker].filter((gate) => gate !== null);
    if (this.gates.length === before.length && this.gates.every((gate, i) => gate === before[i])) this.gates = before;

    const fresh = !isDeepStrictEqual(health?.passive, this.detector?.settings);
    if (fresh) {
      for (const pool of this.endpoints.keys()) this.endOutlier(pool);
      this.detector?.close();
      this.detector = health?.passive === undefined ? null : this.createDetector(health.passive);
    }
    const reset = !isDeepStrictEqual(breaker?.endpoint, this.circuit);
    this.circuit = breaker?.endpoint;
    if (reset) for (const pool of this.endpoints.keys()) this.endBreaker(pool);
    for (const pool of pools) this.guard(pool, before);
  }

  /** The endpoint is no more; its last attempts are still told of to what guards the backend. */
  gone(pool: EndpointPool): void {
    this.endOutlier(pool);
    this.endBreaker(pool);
    this.endpoints.delete(pool);
  }

  /** A request was refused, as breakers keep it from all endpoints. */
  allOpen(): void {
    this.count('breaker_rejections', { scope: 'endpoint' });
  }

  stateOf(pool: EndpointPool): EndpointGuardState {
    const guard = this.endpoints.get(pool);
    const outlier = guard?.outlier ?? null;
    const remainingMs = outlier?.ejected ? Math.max(0, Math.round(outlier.untilMs - this.deps.wheel.now())) : null;
    return {
      ...(guard?.breaker && { breaker: guard.breaker.state }),
      ...(outlier && { ejections: outlier.ejections }),
      ...(remainingMs !== null && { ejectedForMs: remainingMs }),
    };
  }

  get state(): BackendGuardState {
    return {
      ...(this.breaker && { breaker: this.breaker.state }),
      ...(this.adaptive && { limit: this.adaptive.limit }),
    };
  }

  close(): void {
    for (const pool of this.endpoints.keys()) this.gone(pool);
    this.detector?.close();
    this.breaker?.close();
  }

  /** `before`: the gates of the backend that it may still report to. */
  private guard(pool: EndpointPool, before: readonly Gate[]): void {
    let guard = this.endpoints.get(pool);
    if (guard === undefined) {
      guard = { outlier: null, breaker: null };
      this.endpoints.set(pool, guard);
      for (const gate of this.gates) pool.watch(gate);
    } else if (this.gates !== before) {
      for (const gate of before) if (!this.gates.includes(gate)) pool.unwatch(gate);
      for (const gate of this.gates) if (!before.includes(gate)) pool.watch(gate);
    }
    if (guard.outlier === null && this.detector !== null) {
      guard.outlier = this.detector.create(pool.name, (on) => pool.block(EJECTED, on));
      pool.watch(guard.outlier);
    }
    if (guard.breaker === null && this.circuit !== undefined) {
      guard.breaker = this.createBreaker(this.circuit, 'endpoint', pool);
      pool.gates = [...pool.gates, guard.breaker];
      pool.watch(guard.breaker);
    }
  }

  private endOutlier(pool: EndpointPool): void {
    const guard = this.endpoints.get(pool);
    if (!guard?.outlier) return;
    pool.unwatch(guard.outlier);
    guard.outlier.close();
    guard.outlier = null;
    pool.block(EJECTED, false);
  }

  private endBreaker(pool: EndpointPool): void {
    const guard = this.endpoints.get(pool);
    if (!guard?.breaker) return;
    const { breaker } = guard;
    pool.gates = pool.gates.filter((gate) => gate !== breaker);
    pool.unwatch(breaker);
    breaker.close();
    guard.breaker = null;
    pool.block(OPEN, false);
  }

  private createDetector(settings: OutlierDetector['settings']): OutlierDetector {
    const { wheel, random } = this.deps;
    return new OutlierDetector({
      settings,
      wheel,
      random,
      onEjected: ({ name, ejections }, reason, forMs) => {
        this.count('endpoint_ejections', { reason });
        this.note({ endpoint: name, reason, ejections, forMs: Math.round(forMs) }, 'an endpoint is ejected');
      },
      onReadmitted: ({ name }) => this.note({ endpoint: name }, 'an endpoint is readmitted'),
      onSpared: (_record, reason) => this.count('endpoint_ejections_spared', { reason }),
    });
  }

  private createBreaker(settings: CircuitSettings, scope: Scope, pool: EndpointPool | null): Breaker {
    const endpoint = pool === null ? {} : { endpoint: pool.name };
    return new Breaker({
      settings,
      wheel: this.deps.wheel,
      onState: (to) => {
        pool?.block(OPEN, to === 'open');
        this.count('breaker_transitions', { scope, to });
        this.note({ ...endpoint, scope }, BREAKER_NOTES[to]);
      },
      onReject: () => {
        // Of an endpoint that is half open, the next one is asked.
        if (pool === null) this.count('breaker_rejections', { scope });
      },
    });
  }

  private count(name: string, labels: Readonly<Record<string, string>>): void {
    const counter = this.deps.counter?.(name, { backend: this.name, ...labels });
    if (counter !== undefined) counter.value++;
  }

  private note(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.notices.write({ event: 'guard', backend: this.name, ...fields }, message);
  }
}
