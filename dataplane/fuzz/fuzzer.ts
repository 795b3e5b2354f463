/**
 * Makes inputs, has them read by us and by llhttp, and keeps those that led somewhere new: to a block of our code that had not run, or to a pair
 * of outcomes that had not been seen. A difference that is not argued (differences.ts) is a finding, and so is one between our own readings of the
 * same bytes in other pieces, or answered later.
 */
import { Coverage } from './coverage.ts';
import { type Difference, differenceOf } from './differences.ts';
import { readRequests, readResponses } from './llhttp.ts';
import { below, mutate, type Random, seeded } from './mutate.ts';
import { readOurRequests, readOurResponses } from './our-codec.ts';
import { readOurs } from './our-requests.ts';
import { cut, type Reading } from './reading.ts';

export type Subject = 'requests' | 'responses';

export interface Finding extends Difference {
  /** The smallest input found that shows it, one character a byte. */
  readonly input: string;
}

export interface Report {
  readonly subject: Subject;
  readonly seed: number;
  readonly executions: number;
  readonly tookMs: number;
  /** Inputs that led somewhere new, those it began with included. */
  readonly corpus: number;
  /** Of the source of codec and connection that ran. */
  readonly coveredCharacters: number;
  /** Of those, what the inputs it began with had run. */
  readonly coveredBySeeds: number;
  readonly outcomes: number;
  /** How many inputs neither refused, both, only we, only llhttp (we may have waited for the rest of what it refused). */
  readonly counts: { neither: number; both: number; onlyWe: number; onlyThey: number };
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly subject: Subject;
  readonly seed: number;
  readonly seeds: readonly string[];
  readonly executions: number;
  /** Ends then as well, ms from the start; left out: by executions only. */
  readonly forMs?: number;
  readonly onFinding?: (finding: Finding) => void;
  /** About every 10,000 executions. */
  readonly onProgress?: (report: Report) => void;
}

/** Inputs between two questions for coverage, each of which costs as much as a hundred inputs. */
const MIN_BATCH = 64;
const MAX_BATCH = 1024;
const MAX_FINDINGS = 20;

export async function fuzz(options: FuzzOptions): Promise<Report> {
  const fuzzer = new Fuzzer(options);
  try {
    return await fuzzer.run();
  } finally {
    fuzzer.close();
  }
}

interface Trial {
  readonly input: string;
  readonly cuts: readonly number[];
}

class Fuzzer {
  readonly #options: FuzzOptions;
  readonly #random: Random;
  readonly #coverage = new Coverage(/\/dataplane\/(?:codec|listener\/http1-)[^/]*$|\/dataplane\/codec\//);
  readonly #corpus: string[];
  /** Of the corpus what we took as it was: refused inputs lead to few but refused ones. */
  readonly #taken: string[] = [];
  readonly #outcomes = new Set<string>();
  readonly #findings: Finding[] = [];
  readonly #known = new Set<string>();
  readonly #counts = { neither: 0, both: 0, onlyWe: 0, onlyThey: 0 };
  readonly #startedAtMs = Date.now();
  #executions = 0;
  #coveredBySeeds = 0;
  #batch = MIN_BATCH;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#random = seeded(options.seed);
    this.#corpus = [...options.seeds];
  }

  async run(): Promise<Report> {
    const { executions, forMs = Number.POSITIVE_INFINITY, onProgress, seeds } = this.#options;
    for (const input of seeds) this.#execute(input, [1]);
    this.#coverage.fresh(true);
    this.#coveredBySeeds = this.#coverage.characters;
    let reported = 0;
    while (
      this.#executions < executions &&
      Date.now() - this.#startedAtMs < forMs &&
      this.#findings.length < MAX_FINDINGS
    ) {
      this.#runBatch(Math.min(this.#batch, executions - this.#executions));
      // Sockets that were closed go away in a turn of the loop.
      await new Promise((resolve) => setImmediate(resolve));
      if (onProgress !== undefined && this.#executions - reported >= 10_000) {
        reported = this.#executions;
        onProgress(this.report());
      }
    }
    return this.report();
  }

  report(): Report {
    return {
      subject: this.#options.subject,
      seed: this.#options.seed,
      executions: this.#executions,
      tookMs: Date.now() - this.#startedAtMs,
      corpus: this.#corpus.length,
      coveredCharacters: this.#coverage.characters,
      coveredBySeeds: this.#coveredBySeeds,
      outcomes: this.#outcomes.size,
      counts: { ...this.#counts },
      findings: this.#findings,
    };
  }

  close(): void {
    this.#coverage.stop();
  }

  #runBatch(size: number): void {
    const inputs: Trial[] = [];
    for (let i = 0; i < size; i++) {
      const input = mutate(this.#choose(), this.#corpus, this.#random);
      const cuts = this.#cuts(input.length);
      if (this.#execute(input, cuts)) this.#corpus.push(input);
      else inputs.push({ input, cuts });
    }
    if (this.#coverage.fresh(false) === 0) this.#batch = Math.min(this.#batch * 2, MAX_BATCH);
    else {
      this.#batch = MIN_BATCH;
      this.#keepFresh(inputs);
    }
  }

  /** Keeps those of `inputs` that run what had not run, found by halves. */
  #keepFresh(inputs: readonly Trial[]): void {
    for (const { input, cuts } of inputs) this.#read(input, cuts);
    if (this.#coverage.fresh(inputs.length === 1) === 0) return;
    if (inputs.length === 1) {
      this.#corpus.push(...inputs.map(({ input }) => input));
      return;
    }
    this.#keepFresh(inputs.slice(0, inputs.length / 2));
    this.#keepFresh(inputs.slice(inputs.length / 2));
  }

  /** What is new is tried more often. */
  #choose(): string {
    const corpus = this.#random() < 0.8 && this.#taken.length > 0 ? this.#taken : this.#corpus;
    const { length } = corpus;
    const from = this.#random() < 0.5 ? Math.max(0, length - 64) : 0;
    return corpus[from + below(this.#random, length - from)] as string;
  }

  /** Whether its outcome is new. */
  #execute(input: string, cuts: readonly number[]): boolean {
    this.#executions++;
    const { ours, theirs, difference } = this.#read(input, cuts);
    if (ours.refused === null) this.#counts[theirs.refused === null ? 'neither' : 'onlyThey']++;
    else this.#counts[theirs.refused === null ? 'onlyWe' : 'both']++;
    if (difference !== null) this.#found(input, cuts, difference);
    const isNew = this.#isNew(`${outcomeOf(ours)} ${outcomeOf(theirs)}`);
    const isTaken = ours.refused === null && ours.messages.some(({ complete }) => complete);
    if (isTaken && (isNew || this.#taken.length < this.#options.seeds.length)) this.#taken.push(input);
    return isNew;
  }

  #isNew(outcome: string): boolean {
    if (this.#outcomes.has(outcome)) return false;
    this.#outcomes.add(outcome);
    return true;
  }

  #cuts(length: number): number[] {
    if (this.#random() < 0.97) return [];
    if (this.#random() < 0.1) return Array.from({ length }, (_, i) => i);
    return Array.from({ length: 1 + below(this.#random, 4) }, () => below(this.#random, length));
  }

  #read(input: string, cuts: readonly number[]): { ours: Reading; theirs: Reading; difference: Difference | null } {
    const bytes = Buffer.from(input, 'latin1');
    if (this.#options.subject === 'responses') {
      // The third answers a HEAD, so that heads without bodies are met in the middle.
      const toHead = [false, false, true];
      const ours = readOurResponses(bytes, toHead);
      const theirs = readResponses([bytes], toHead);
      return { ours, theirs, difference: differenceOf(input, ours, theirs) };
    }
    const ours = readOurRequests(bytes);
    const theirs = readRequests([bytes]);
    let difference = differenceOf(input, ours, theirs);
    if (difference === null && cuts.length > 0) difference = connectionDifference(bytes, cuts, ours);
    return { ours, theirs, difference };
  }

  #found(input: string, cuts: readonly number[], difference: Difference): void {
    const kind = kindOf(difference);
    if (this.#known.has(kind)) return;
    this.#known.add(kind);
    const smallest = this.#shrink(input, cuts, kind);
    const shown = this.#read(smallest, cuts).difference ?? difference;
    const finding = { ...shown, input: smallest };
    this.#findings.push(finding);
    this.#options.onFinding?.(finding);
  }

  #shrink(input: string, cuts: readonly number[], kind: string): string {
    let text = input;
    for (let size = Math.ceil(text.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < text.length; ) {
        const shorter = text.slice(0, at) + text.slice(at + size);
        const { difference } = this.#read(shorter, cuts);
        if (difference !== null && kindOf(difference) === kind) text = shorter;
        else at += size;
      }
    }
    return text;
  }
}

function kindOf({ what }: Difference): string {
  return what.replaceAll(/\d+/g, 'n');
}

/** Against the codec alone: the connection with the bytes in one piece, in many, and answered only when all of them were there. */
function connectionDifference(bytes: Buffer, cuts: readonly number[], codec: Reading): Difference | null {
  const pieces = cut(bytes, cuts);
  const readings = {
    'in one piece': readOurs([bytes]),
    'in pieces': readOurs(pieces),
    'answered late': readOurs(pieces, { late: true }),
  };
  const expected = shown(codec);
  for (const [what, reading] of Object.entries(readings)) {
    if (shown(reading) === expected) continue;
    // A line that is not over is not looked at with each byte of it: refused as soon as it is.
    if (reading.refused === null && codec.refused !== null && bytes[bytes.length - 1] !== LF) {
      const ended = readOurs([...pieces, Buffer.from([LF])]);
      if (shown(ended) === expected) continue;
    }
    return { what: `the connection, ${what}`, ours: reading, theirs: codec };
  }
  return null;
}

const LF = 10;

function shown({ messages, refused }: Reading): string {
  return JSON.stringify([
    messages.map(({ method, target, minor, fields, body, trailers, complete }) => [
      method,
      target,
      minor,
      fields,
      body,
      trailers,
      complete,
    ]),
    refused,
  ]);
}

function outcomeOf({ messages, refused, closed }: Reading): string {
  const last = messages.at(-1);
  const shape = `${last?.body === '' ? '' : 'b'}${last?.trailers.length === 0 ? '' : 't'}`;
  return `${Math.min(messages.length, 3)}${shape} ${last?.complete} ${Math.floor((last?.status ?? 0) / 100)} ${refused} ${closed}`;
}
