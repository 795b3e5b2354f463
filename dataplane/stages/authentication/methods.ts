/**
 * Kind of method → the module that makes it. Modules are loaded when a snapshot first holds such a method: an idle data plane carries no
 * token library.
 *
 * To add one: its schema (snapshot/sections/authentication/), one file here that exports `create`, and a line in LOADERS.
 */
import type { MethodConfig, MethodKind } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import type { Method } from './method.ts';

/** `field` is the path of the method within the section, for a StageError. */
export type CreateMethod<K extends MethodKind> = (
  config: MethodConfig<K>,
  context: StageContext,
  field: string,
) => Method;

interface MethodModule<K extends MethodKind> {
  readonly create: CreateMethod<K>;
}

const LOADERS: { readonly [K in MethodKind]: () => Promise<MethodModule<K>> } = {
  apiKey: () => import('./api-key.ts'),
  forward: () => import('./forward.ts'),
  signature: () => import('./signature.ts'),
  basic: () => import('./basic.ts'),
  jwt: () => import('./jwt.ts'),
  introspection: () => import('./introspection.ts'),
  oidc: () => import('./oidc.ts'),
  clientCertificate: () => import('./client-certificate.ts'),
};

const loaded: { [K in MethodKind]?: MethodModule<K> } = {};

/** Before `createMethod` is called for these kinds. Unknown kinds are left for the decoder to refuse. */
export async function loadMethods(kinds: Iterable<string>): Promise<void> {
  for (const kind of new Set(kinds)) {
    if (Object.hasOwn(LOADERS, kind)) await load(kind as MethodKind);
  }
}

async function load<K extends MethodKind>(kind: K): Promise<void> {
  const modules: { [P in K]?: MethodModule<P> } = loaded;
  modules[kind] ??= await LOADERS[kind]();
}

/** Throws StageError where the configuration can't be used. */
export function createMethod<K extends MethodKind>(
  config: MethodConfig<K>,
  context: StageContext,
  field: string,
): Method {
  const module = loaded[config.kind as K] as MethodModule<K> | undefined;
  if (module === undefined) throw new StageError(`${field}.kind`, `the module of ${config.kind} is not loaded`);
  return module.create(config, context, field);
}
