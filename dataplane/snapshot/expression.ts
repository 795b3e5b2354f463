/**
 * Expressions of authorization rules in CEL, the Common Expression Language (github.com/google/cel-spec): what they may say. The compiler
 * checks with it what a user writes, the data plane runs it; neither loads it before the first expression.
 *
 * An expression ends: CEL has no loops but over lists, which may be nested twice. It is type-checked, at most 1,024 characters and 200 nodes
 * long, and what `matches` is given must stand in it literally, so that the pattern can be checked.
 */
import { type ASTNode, Environment, EvaluationError } from '@marcbachmann/cel-js';

/** What an expression sees of a request; each part is asked for only where the expression names it. */
export interface Subject {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  /** Names in lower case; several of one name joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decoded; of a repeated name the first. */
  readonly query: ReadonlyMap<string, string>;
  readonly address: string;
  readonly time: Date;
  /** Empty where nobody said who calls; so are groups, scopes and claims then. */
  readonly consumer: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  /** Verified; null: the connection shows none, and all of it is empty. */
  readonly certificate: CertificateSubject | null;
}

export interface CertificateSubject {
  readonly subject: string;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
  readonly spiffeId: string;
  readonly fingerprint: string;
}

export interface Expression {
  /** Throws EvaluationError where it can't be told: a claim that is not there, a value of another type. */
  readonly holds: (subject: Subject) => boolean;
  /** Whether it asks who calls. */
  readonly asksIdentity: boolean;
  /** Whether it asks for the certificate of the connection. */
  readonly asksCertificate: boolean;
  /** Patterns given to `matches`, and where they stand (characters from 0). */
  readonly patterns: readonly { readonly pattern: string; readonly at: number }[];
}

/** An expression that can't be used. */
export class ExpressionError extends Error {
  /** Character of the expression it is about, from 0. */
  readonly at: number;

  constructor(reason: string, at: number) {
    super(`${reason} (at character ${at + 1})`);
    this.name = 'ExpressionError';
    this.at = at;
  }
}

export const MAX_EXPRESSION_LENGTH = 1024;
const MAX_NESTED_LOOPS = 2;
const LIMITS = { maxAstNodes: 200, maxDepth: 24, maxListElements: 64, maxMapEntries: 16, maxCallArguments: 8 };

/** Named by the library's types: their constructors are what tells them apart. */
class RequestVariable {
  readonly #subject: Subject;
  constructor(subject: Subject) {
    this.#subject = subject;
  }
  get method(): string {
    return this.#subject.method;
  }
  get path(): string {
    return this.#subject.path;
  }
  get host(): string {
    return this.#subject.host;
  }
  get headers(): ReadonlyMap<string, string> {
    return this.#subject.headers;
  }
  get query(): ReadonlyMap<string, string> {
    return this.#subject.query;
  }
  get address(): string {
    return this.#subject.address;
  }
  get time(): Date {
    return this.#subject.time;
  }
}

class AuthVariable {
  readonly #subject: Subject;
  constructor(subject: Subject) {
    this.#subject = subject;
  }
  get consumer(): string {
    return this.#subject.consumer;
  }
  get groups(): readonly string[] {
    return this.#subject.groups;
  }
  get scopes(): readonly string[] {
    return this.#subject.scopes;
  }
  get claims(): Readonly<Record<string, unknown>> {
    return this.#subject.claims;
  }
}

const NO_NAMES: readonly string[] = [];

class CertificateVariable {
  readonly #subject: Subject;
  constructor(subject: Subject) {
    this.#subject = subject;
  }
  get subject(): string {
    return this.#subject.certificate?.subject ?? '';
  }
  get commonName(): string {
    return this.#subject.certificate?.commonName ?? '';
  }
  get dnsNames(): readonly string[] {
    return this.#subject.certificate?.dnsNames ?? NO_NAMES;
  }
  get uris(): readonly string[] {
    return this.#subject.certificate?.uris ?? NO_NAMES;
  }
  get emails(): readonly string[] {
    return this.#subject.certificate?.emails ?? NO_NAMES;
  }
  get spiffeId(): string {
    return this.#subject.certificate?.spiffeId ?? '';
  }
  get fingerprint(): string {
    return this.#subject.certificate?.fingerprint ?? '';
  }
}

const environment = new Environment({ limits: LIMITS })
  .registerType('tidegate.Request', {
    ctor: RequestVariable,
    fields: {
      method: 'string',
      path: 'string',
      host: 'string',
      headers: 'map<string, string>',
      query: 'map<string, string>',
      address: 'string',
      time: 'google.protobuf.Timestamp',
    },
  })
  .registerType('tidegate.Auth', {
    ctor: AuthVariable,
    fields: { consumer: 'string', groups: 'list<string>', scopes: 'list<string>', claims: 'map<string, dyn>' },
  })
  .registerType('tidegate.Certificate', {
    ctor: CertificateVariable,
    fields: {
      subject: 'string',
      commonName: 'string',
      dnsNames: 'list<string>',
      uris: 'list<string>',
      emails: 'list<string>',
      spiffeId: 'string',
      fingerprint: 'string',
    },
  })
  .registerVariable('request', 'tidegate.Request')
  .registerVariable('auth', 'tidegate.Auth')
  .registerVariable('certificate', 'tidegate.Certificate');

/** Throws ExpressionError. */
export function compileExpression(source: string): Expression {
  if (source.length > MAX_EXPRESSION_LENGTH)
    throw new ExpressionError(`is longer than ${MAX_EXPRESSION_LENGTH} characters`, MAX_EXPRESSION_LENGTH);
  const run = parse(source);
  const { valid, type, error } = run.check();
  if (!valid) throw expressionError(error);
  // What is looked up in claims has a type only at run time.
  if (type !== 'bool' && type !== 'dyn') throw new ExpressionError(`is a ${type}, not a bool`, 0);
  const survey: Survey = { asksIdentity: false, asksCertificate: false, patterns: [] };
  inspect(run.ast, survey, 0);
  return {
    ...survey,
    holds(subject) {
      const result = run({
        request: new RequestVariable(subject),
        auth: new AuthVariable(subject),
        certificate: new CertificateVariable(subject),
      });
      if (typeof result !== 'boolean') throw new EvaluationError('the result is not a bool');
      return result;
    },
  };
}

function parse(source: string): ReturnType<Environment['parse']> {
  try {
    return environment.parse(source);
  } catch (error) {
    throw expressionError(error);
  }
}

function expressionError(error: unknown): ExpressionError {
  const { summary, range } = error as { summary?: string; range?: { start: number } };
  const reason = summary ?? 'can not be read';
  return new ExpressionError(reason.charAt(0).toLowerCase() + reason.slice(1), range?.start ?? 0);
}

interface Survey {
  asksIdentity: boolean;
  asksCertificate: boolean;
  readonly patterns: { readonly pattern: string; readonly at: number }[];
}

const LOOPS = new Set(['all', 'exists', 'exists_one', 'filter', 'map']);

function inspect(node: ASTNode, survey: Survey, loops: number): void {
  let depth = loops;
  if (node.op === 'id' && node.args === 'auth') survey.asksIdentity = true;
  if (node.op === 'id' && node.args === 'certificate') survey.asksCertificate = true;
  if (node.op === 'rcall') {
    const [name, , parameters] = node.args;
    if (name === 'bind') throw new ExpressionError('cel.bind is not allowed', node.start);
    if (LOOPS.has(name) && ++depth > MAX_NESTED_LOOPS)
      throw new ExpressionError(`nests ${LOOPS_TEXT} more than twice`, node.start);
    if (name === 'matches') survey.patterns.push(literal(parameters[0], node.start));
  }
  for (const child of childrenOf(node.args)) inspect(child, survey, depth);
}

const LOOPS_TEXT = 'all, exists, exists_one, filter and map';

function literal(node: ASTNode | undefined, at: number): { pattern: string; at: number } {
  if (node?.op !== 'value' || typeof node.args !== 'string')
    throw new ExpressionError('matches needs its pattern as a literal string', node?.start ?? at);
  return { pattern: node.args, at: node.start };
}

function childrenOf(value: unknown): ASTNode[] {
  if (Array.isArray(value)) return value.flatMap(childrenOf);
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value ? [value as ASTNode] : [];
}
