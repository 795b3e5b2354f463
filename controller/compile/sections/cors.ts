/** CORS, from how a user writes it to how a data plane runs it. */
import { durationMs } from '../../api/duration.ts';
import type { SectionSpec } from '../../model/policy.ts';
import type { Compiled } from './compile.ts';

const DEFAULT_ALLOW_METHODS = ['GET', 'HEAD', 'POST'];
const DEFAULT_MAX_AGE_SECONDS = 5;

export function compileCors(spec: SectionSpec<'cors'>): Compiled<'cors'> {
  return {
    section: 'cors',
    allowOrigins: spec.allowOrigins,
    allowMethods: spec.allowMethods ?? DEFAULT_ALLOW_METHODS,
    allowHeaders: spec.allowHeaders ?? [],
    exposeHeaders: spec.exposeHeaders ?? [],
    allowCredentials: spec.allowCredentials,
    allowPrivateNetwork: spec.allowPrivateNetwork,
    maxAgeSeconds: spec.maxAge === undefined ? DEFAULT_MAX_AGE_SECONDS : Math.floor(durationMs(spec.maxAge) / 1000),
  };
}
