/**
 * Section of a policy → stage, and the order in which stages run (DESIGN section 6).
 *
 * To add a stage:
 *  1. its schema, a strict object with a literal `section`: one file in snapshot/sections/, listed in `policySection`;
 *  2. one file here that exports `create<Name>(config, context): Stage` and throws StageError, naming the field, on a config it can't use
 *     (compile regexes, sets, keys there: a handler only looks up), with its test beside it;
 *  3. its entry in SECTIONS below: the compiler asks for it.
 * A stage never imports another one. A handler that need not wait returns no promise. What it needs from outside comes in its context.
 */
import type { Stage } from '../pipeline/chain.ts';
import type { ResourceBytes } from '../snapshot/decode.ts';
import type { PolicySection } from '../snapshot/resources.ts';
import { loadMethods } from './authentication/methods.ts';
import { createAuthentication } from './authentication/stage.ts';
import { loadExpressions } from './authorization/expressions.ts';
import { createAuthorization } from './authorization/stage.ts';
import type { StageContext } from './context.ts';
import { createCors } from './cors.ts';
import { describeEdits } from './describe.ts';
import { createFail } from './fail.ts';
import { createFault } from './fault.ts';
import { createRateLimit } from './rate-limit/stage.ts';
import { createSecurity } from './security.ts';
import { createShedding } from './shedding.ts';
import { createTransform } from './transform.ts';

type SectionName = PolicySection['section'];
type Config<S extends SectionName> = Extract<PolicySection, { section: S }>;

interface Entry<S extends SectionName> {
  /** Request phase in ascending order, response phase in descending. Null: no stage, resolved when a rule is built. */
  readonly place: number | null;
  /** Null for a section that is no stage. Throws StageError. */
  readonly create: (config: Config<S>, context: StageContext) => Stage | null;
  /**
   * Loads the modules that only some configurations need; null where there is nothing to load. Called with what no decoder has seen yet,
   * before `create`.
   */
  readonly load?: (config: Readonly<Record<string, unknown>>) => Promise<void> | null;
  /** Ids of the secrets and credentials it is made with: when they change, it is made anew. */
  readonly references?: (config: Config<S>) => readonly string[];
  /** What /debug/config may show: never a value that may be a secret. */
  readonly describe: (config: Config<S>) => unknown;
}

const SECTIONS: { readonly [S in SectionName]: Entry<S> } = {
  shedding: { place: 5, create: createShedding, describe: (config) => config },
  security: { place: 10, create: (config) => createSecurity(config), describe: (config) => config },
  cors: { place: 20, create: createCors, describe: (config) => config },
  authentication: {
    place: 30,
    create: createAuthentication,
    load: ({ methods }) => loadMethods(listOf(methods).flatMap(({ kind }) => (typeof kind === 'string' ? [kind] : []))),
    references: ({ methods }) => methods.flatMap(referencedIds),
    describe: (config) => config,
  },
  authorization: {
    place: 40,
    create: createAuthorization,
    load: ({ rules }) => (listOf(rules).some(({ cel }) => cel !== undefined) ? loadExpressions() : null),
    describe: (config) => config,
  },
  rateLimit: { place: 50, create: createRateLimit, describe: (config) => config },
  transform: {
    place: 70,
    create: (config) => createTransform(config),
    describe: ({ request, response }) => ({
      section: 'transform',
      request: describeEdits(request),
      response: describeEdits(response),
    }),
  },
  // Last before the backend: what would have been refused is refused.
  fault: { place: 90, create: createFault, describe: (config) => config },
  retry: { place: null, create: () => null, describe: (config) => config },
  timeout: { place: null, create: () => null, describe: (config) => config },
  // Stands where its section would.
  fail: { place: null, create: createFail, describe: (config) => config },
};

/** Places of sections that a `fail` may stand for and this build has no stage of. */
const FURTHER_PLACES: Readonly<Record<string, number>> = {
  cache: 60,
  plugins: 80,
};

/** Place in the chain; a `fail` of something this build does not know comes first. */
export function placeOf(config: PolicySection): number {
  const section = sectionOf(config);
  const known = Object.hasOwn(SECTIONS, section) ? SECTIONS[section as SectionName].place : null;
  return known ?? FURTHER_PLACES[section] ?? 0;
}

/** The section a policy block fills: a rule may have at most one of each. */
export function sectionOf(config: PolicySection): string {
  return config.section === 'fail' ? config.of : config.section;
}

/** Null for a section that is no stage but resolved when a rule is built. Throws StageError. */
export function createStage(config: PolicySection, context: StageContext): Stage | null {
  return entryOf(config).create(config, context);
}

/** Ids of resources a section can't be made without. */
export function referencesOfSection(config: PolicySection): readonly string[] {
  return entryOf(config).references?.(config) ?? [];
}

export function describeSection(config: PolicySection): unknown {
  return entryOf(config).describe(config);
}

/**
 * Loads the modules that the sections of a change need; null where they are all there. What can't be read is left to the decoder. Call it
 * before the change is applied.
 */
export function loadStages(upsert: readonly ResourceBytes[]): Promise<void> | null {
  const loading = upsert.flatMap((one) => load(one) ?? []);
  return loading.length === 0 ? null : Promise.all(loading).then(() => undefined);
}

function load({ id, body }: ResourceBytes): Promise<void> | null {
  const section = id.slice(id.lastIndexOf('/') + 1);
  if (!id.startsWith('policy/') || !Object.hasOwn(SECTIONS, section)) return null;
  const { load: loader } = SECTIONS[section as SectionName];
  if (loader === undefined) return null;
  try {
    const { config } = JSON.parse(Buffer.from(body).toString()) as { config?: Record<string, unknown> };
    return loader(config ?? {});
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'object' && one !== null) : [];
}

/** Every id of a secret or of credentials in a method, whatever the field is called. */
function referencedIds(value: unknown): string[] {
  if (typeof value === 'string') return /^(secret|credentials)\//.test(value) ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(referencedIds);
}

function entryOf(config: PolicySection): Entry<SectionName> {
  if (!Object.hasOwn(SECTIONS, config.section)) throw new TypeError(`no stage for section ${config.section}`);
  return SECTIONS[config.section] as unknown as Entry<SectionName>;
}
