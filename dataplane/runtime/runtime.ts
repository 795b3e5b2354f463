/**
 * The running configuration of one worker. A change is planned whole beside it, then taken in one step: exchanges that began before
 * finish on the generation they hold, those that begin after see the new one.
 */
import { messageOf } from '../errors.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { problem } from '../pipeline/respond.ts';
import { Pipeline } from '../pipeline/run.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { Explanation } from '../snapshot/explain.ts';
import type { Trouble } from '../telemetry/trouble.ts';
import { renewTickets, type TlsHost } from '../tls/host.ts';
import { TlsTable } from '../tls/table.ts';
import { sameMaterials } from '../upstream/dial/tls-settings.ts';
import { MirrorBudget } from '../upstream/mirrors.ts';
import type { RuntimeDeps } from './deps.ts';
import { describeLedger, type RuntimeDescription } from './describe.ts';
import { RunningGeneration } from './generation.ts';
import { Ledger } from './ledger.ts';
import { type Change, type Plan, planStep, replacedStages } from './plan.ts';
import { type Retired, Retirement } from './retirement.ts';
import { Troubles } from './troubles.ts';

/** `Verdict` in gateway.proto, and what the step cost. */
export interface Applied {
  /** Of what is held now. */
  readonly revision: string;
  /** False: nothing of the change was taken. */
  readonly accepted: boolean;
  /** All that does not run as it was sent, also from changes before. */
  readonly rejected: Rejection[];
  readonly message: string;
  readonly built: BuildCounts;
}

/** How much was made anew; what is shared does not count. */
export interface BuildCounts {
  readonly rules: number;
  readonly policies: number;
  readonly upstreams: number;
  readonly routerNodes: number;
}

const NOTHING_BUILT: BuildCounts = { rules: 0, policies: 0, upstreams: 0, routerNodes: 0 };

export class Runtime {
  readonly pipeline: Pipeline;
  readonly #deps: RuntimeDeps;
  readonly #ledger = new Ledger();
  readonly #retirement = new Retirement();
  readonly #mirrors = new MirrorBudget();
  readonly #troubles: Troubles;
  #current: RunningGeneration;
  /** Null: no host has TLS. */
  #tls: TlsTable | null = null;
  #revision = '';

  constructor(deps: RuntimeDeps) {
    this.#deps = deps;
    this.#troubles = new Troubles(deps.stages.onTroubles);
    this.pipeline = new Pipeline({
      newRequestId: deps.newRequestId,
      trustRequestId: deps.defaults.trustedHops > 0,
      onFinish: deps.onFinish,
      logError: deps.logError,
      now: deps.now,
      setTimer: deps.setTimer,
    });
    this.#current = RunningGeneration.initial((index) => this.#retirement.drained(index));
    this.#retirement.begin(this.#current.index);
  }

  /** For listeners. Bound: may be passed on as it is. */
  readonly handler = (exchange: Exchange): void => {
    if (this.#tls?.misdirects(exchange)) this.#misdirected(exchange);
    else this.pipeline.handle(exchange, this.#current);
  };

  /** What the hosts of a handshake do. `serverName`: lower-case, empty where there is none. Null: nobody has such a host. */
  readonly tlsHost = (serverName: string): TlsHost | null => this.#tls?.find(serverName) ?? null;

  /** For listeners, in place of `handler`: the worker has as many requests as it may have. */
  readonly turnAway = (exchange: Exchange): void => {
    const detail = 'The gateway has more requests than it can hold; try again later.';
    this.pipeline.turnAway(exchange, this.#current, 503, 'overloaded', detail);
  };

  /** For listeners: the answer to a request that never became an exchange. */
  readonly refuse = (status: number, code: string, detail: string): Answer => {
    const requestId = this.#deps.newRequestId();
    const answer = problem(status, code, detail, requestId);
    answer.headers.set('x-request-id', requestId);
    return answer;
  };

  /** Empty before the first change. */
  get revision(): string {
    return this.#revision;
  }

  get generation(): number {
    return this.#current.index;
  }

  /** The generation running now and those that still have exchanges. */
  get liveGenerations(): number {
    return this.#retirement.live;
  }

  /** id and hash of all that was sent, rejected or not. */
  *held(): IterableIterator<{ id: string; hash: string }> {
    for (const [id, { hash }] of this.#ledger.held) yield { id, hash };
  }

  /** Never throws. A change without content is accepted and leaves the generation as it is. */
  apply(change: Change): Applied {
    let plan: Plan;
    const { router } = this.#current;
    try {
      plan = planStep(change, {
        ledger: this.#ledger,
        router,
        generation: this.#current.index + 1,
        pipeline: this.pipeline,
        deps: this.#deps,
        mirrors: this.#mirrors,
        troubles: this.#troubles,
      });
    } catch (error) {
      return this.#applied(false, `the change could not be planned: ${messageOf(error)}`, NOTHING_BUILT);
    }
    let message = '';
    try {
      if (plan.held.size > 0 || !this.#current.configured) this.#take(plan);
    } catch (error) {
      // Only what is left behind can throw: the new generation runs.
      message = `what the change replaced could not be closed: ${messageOf(error)}`;
    }
    return this.#applied(true, message, {
      rules: plan.rules.size,
      policies: plan.policies.size,
      upstreams: [...plan.backends.values()].filter((backend) => backend?.made).length,
      routerNodes: plan.router === router ? 0 : plan.router.made,
    });
  }

  /** What running stages can't do at the moment. */
  get troubles(): Trouble[] {
    return this.#troubles.list();
  }

  /** For /debug/config; holds no secrets. */
  describe(): RuntimeDescription {
    return describeLedger(this.#ledger, this.#revision, this.#current.index, this.#retirement.live);
  }

  /** What would become of an exchange that no listener began; see runtime/explain. `backend` as in ExplainRequest. */
  async explain(exchange: Exchange, backend: string | undefined): Promise<Explanation> {
    const { explain } = await import('./explain/explain.ts');
    const generation = this.#current;
    // What its stages use must not be closed meanwhile.
    generation.retain();
    try {
      return await explain(exchange, {
        revision: this.#revision,
        ledger: this.#ledger,
        troubles: this.troubles,
        defaults: this.#deps.defaults,
        match: generation.match(exchange),
        backend,
      });
    } finally {
      generation.release();
    }
  }

  /** Closes all upstreams and stages. Call it when no exchange is left. */
  close(): void {
    for (const { upstream } of this.#ledger.backends.values()) upstream.close();
    for (const { stage } of this.#ledger.policies.values()) stage?.close?.();
  }

  /** Session tickets are made with other keys from now on. */
  renewTickets(): void {
    const { tickets } = this.#deps;
    if (tickets !== undefined) for (const host of this.#ledger.tls.values()) renewTickets(host, tickets);
  }

  /** Hosts with a certificate, and when it ends in ms since the epoch. */
  get certificates(): { id: string; notAfterMs: number }[] {
    return [...this.#ledger.tls.values()].flatMap(({ id, notAfterMs }) =>
      notAfterMs === 0 ? [] : [{ id, notAfterMs }],
    );
  }

  /** RFC 9110 section 15.5.20: the client may ask again over a connection that is opened for this host. */
  #misdirected(exchange: Exchange): void {
    const detail = 'This connection was not opened for the host of the request; open another one for it.';
    this.pipeline.turnAway(exchange, this.#current, 421, 'misdirected-request', detail, 0);
  }

  #applied(accepted: boolean, message: string, built: BuildCounts): Applied {
    const rejected = [...this.#ledger.rejected.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { revision: this.#revision, accepted, rejected, message, built };
  }

  #take(plan: Plan): void {
    const index = this.#current.index + 1;
    const retired = this.#retiredBy(plan, index);
    const failed = this.#update(plan);
    const before = this.#current;
    const next = new RunningGeneration(index, plan.router, (drained) => this.#retirement.drained(drained));
    this.#retirement.begin(index);
    this.#write(plan);
    for (const rejection of failed) this.#ledger.rejected.set(rejection.id, rejection);
    this.#current = next;
    before.retire();
    this.#retirement.retire(retired);
  }

  #retiredBy(plan: Plan, died: number): Retired[] {
    const retired: Retired[] = [];
    for (const { stage, born } of replacedStages(plan, this.#ledger)) {
      retired.push({ close: () => stage.close?.(), born, died });
    }
    for (const [id, backend] of plan.backends) {
      const old = this.#ledger.backends.get(id);
      if (backend === null && old !== undefined) {
        retired.push({ close: () => old.upstream.close(), born: old.born, died });
      }
    }
    return retired;
  }

  /** Upstreams that stay get their new resources in place, so that pools and balancers live on. Those that fail to are rejected. */
  #update(plan: Plan): Rejection[] {
    const failed: Rejection[] = [];
    for (const [id, backend] of plan.backends) {
      const old = this.#ledger.backends.get(id);
      if (backend === null || old === undefined) continue;
      const { resource, endpoints, materials } = backend;
      if (old.resource === resource && old.endpoints === endpoints && sameMaterials(old.materials, materials)) continue;
      try {
        backend.upstream.update(resource, endpoints, materials);
      } catch (error) {
        const hash = plan.held.get(id)?.hash ?? this.#ledger.held.get(id)?.hash ?? '';
        failed.push({ id, hash, message: `could not be updated: ${messageOf(error)}` });
      }
    }
    return failed;
  }

  #write(plan: Plan): void {
    const ledger = this.#ledger;
    for (const [id, held] of plan.held) {
      const old = ledger.held.get(id);
      if (old !== undefined) ledger.sum.remove(id, old.hash);
      if (held !== null) ledger.sum.add(id, held.hash);
    }
    merge(ledger.held, plan.held);
    merge(ledger.policies, plan.policies);
    merge(ledger.backends, plan.backends);
    for (const id of plan.tls.keys()) {
      const old = ledger.tls.get(id);
      if (old !== undefined) old.current = false;
    }
    merge(ledger.tls, plan.tls);
    if (plan.tls.size > 0) this.#tls = ledger.tls.size === 0 ? null : new TlsTable(ledger.tls.values());
    merge(ledger.rules, plan.rules);
    for (const part of plan.rules.values()) if (part !== null) part.slot.rule = part.compiled;
    merge(ledger.rejected, plan.rejected);
    for (const [id, references] of plan.references) ledger.setReferences(id, references);
    this.#revision = ledger.sum.value();
  }
}

function merge<V>(into: Map<string, V>, from: ReadonlyMap<string, V | null>): void {
  for (const [id, value] of from) {
    if (value === null) into.delete(id);
    else into.set(id, value);
  }
}
