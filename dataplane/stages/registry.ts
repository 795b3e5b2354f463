/**
 * Section of a policy → stage, and the order in which stages run (DESIGN section 6).
 *
 * To add a stage:
 *  1. its section, a strict object with a literal `section`, in snapshot/resources.ts, listed in `policySection`;
 *  2. one file here that exports `create<Name>(config, deps): Stage` and throws StageError, naming the field, on a config it can't use
 *     (compile regexes, sets, keys there: a handler only looks up), with its test beside it;
 *  3. a case in `createStage` and a place in `PLACES` below, and a case in describe.ts: the compiler asks for all three;
 *  4. what it needs from outside (clock, store, HTTP client) as a field of StageDeps, injected in worker/.
 * A stage never imports another one. A handler that need not wait returns no promise.
 */
import type { Stage } from '../pipeline/chain.ts';
import type { PolicySection } from '../snapshot/resources.ts';
import { createCors } from './cors.ts';
import { createFail } from './fail.ts';
import { createTransform } from './transform.ts';

type Section = PolicySection['section'];

/** What stages may need from outside; each takes what it needs. */
export interface StageDeps {
  /** ms, monotonic. */
  readonly now: () => number;
}

/** A section that is a stage of its own. */
type StageSection = Exclude<Section, 'fail' | 'timeout'>;

/** Request phase in ascending order, response phase in descending. The names without a stage yet are for `fail` in their place. */
const PLACES: Record<StageSection, number> & Record<string, number> = {
  security: 10,
  cors: 20,
  authentication: 30,
  authorization: 40,
  rateLimit: 50,
  cache: 60,
  transform: 70,
  plugins: 80,
};

/** Place in the chain; a `fail` of something this build does not know comes first. */
export function placeOf(config: PolicySection): number {
  return PLACES[sectionOf(config)] ?? 0;
}

/** The section a policy block fills: a rule may have at most one of each. */
export function sectionOf(config: PolicySection): string {
  return config.section === 'fail' ? config.of : config.section;
}

/** Null for a section that is no stage but resolved when a rule is built. Throws StageError. */
export function createStage(config: PolicySection, _deps: StageDeps): Stage | null {
  switch (config.section) {
    case 'cors':
      return createCors(config);
    case 'transform':
      return createTransform(config);
    case 'fail':
      return createFail(config);
    case 'timeout':
      return null;
    default:
      return unknownSection(config);
  }
}

function unknownSection(config: never): never {
  throw new TypeError(`no stage for ${JSON.stringify(config)}`);
}
