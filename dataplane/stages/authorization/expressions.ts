/** Expressions on requests. The library is loaded when a snapshot first holds one. */
import type { Exchange } from '../../pipeline/exchange.ts';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import type { PeerCertificate } from '../../pipeline/tls-peer.ts';
import { parseQuery } from '../../pipeline/values.ts';
import type { Expression, ExpressionError, Subject } from '../../snapshot/expression.ts';
import { StageError } from '../stage-error.ts';

type Module = typeof import('../../snapshot/expression.ts');

let loaded: Module | null = null;

/** Before `createExpression` is called. */
export async function loadExpressions(): Promise<void> {
  loaded ??= await import('../../snapshot/expression.ts');
}

/** Throws StageError naming `field`. */
export function createExpression(source: string, field: string): Expression {
  if (loaded === null) throw new StageError(field, 'the module of expressions is not loaded');
  try {
    return loaded.compileExpression(source);
  } catch (error) {
    throw new StageError(field, (error as ExpressionError).message);
  }
}

const NONE: readonly string[] = [];

/** One request as an expression sees it. */
export class ExchangeSubject implements Subject {
  readonly #exchange: Exchange;
  readonly #epochMs: number;
  #headers: ReadonlyMap<string, string> | null = null;

  constructor(exchange: Exchange, epochMs: number) {
    this.#exchange = exchange;
    this.#epochMs = epochMs;
  }

  get method(): string {
    return this.#exchange.method;
  }
  get path(): string {
    return this.#exchange.path;
  }
  get host(): string {
    return this.#exchange.host;
  }
  get headers(): ReadonlyMap<string, string> {
    if (this.#headers === null) {
      const { fields } = this.#exchange.headers;
      const headers = new Map<string, string>();
      for (let i = 0; i < fields.length; i += 2) {
        const name = fields[i] as string;
        const before = headers.get(name);
        headers.set(name, before === undefined ? (fields[i + 1] as string) : `${before}, ${fields[i + 1]}`);
      }
      this.#headers = headers;
    }
    return this.#headers;
  }
  get query(): ReadonlyMap<string, string> {
    return parseQuery(this.#exchange.query);
  }
  get address(): string {
    return this.#exchange.clientAddress;
  }
  get time(): Date {
    return new Date(this.#epochMs);
  }
  get consumer(): string {
    return this.#exchange.identity?.consumer ?? '';
  }
  get groups(): readonly string[] {
    return this.#exchange.identity?.groups ?? NONE;
  }
  get scopes(): readonly string[] {
    return this.#exchange.identity?.scopes ?? NONE;
  }
  get claims(): Readonly<Record<string, unknown>> {
    return this.#exchange.identity?.claims ?? NO_CLAIMS;
  }
  get certificate(): PeerCertificate | null {
    return this.#exchange.downstream.tls?.certificate ?? null;
  }
}
