/** Forward-auth. */
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import { durationMs } from '../../../api/duration.ts';
import type { ForwardSpec } from '../../../api/v1alpha1/sections/authentication/forward.ts';
import type { SectionContext } from '../context.ts';

const DEFAULT_HEADERS = ['authorization', 'cookie'];

export function compileForward(
  spec: ForwardSpec,
  name: string,
  context: SectionContext,
  path: readonly (string | number)[],
): AuthenticationMethod {
  context.server(spec.url, [...path, 'url']);
  const requestHeaders = lower(spec.requestHeaders ?? DEFAULT_HEADERS);
  const cacheHeaders = spec.cache?.headers === undefined ? requestHeaders : lower(spec.cache.headers);
  for (const [index, header] of cacheHeaders.entries()) {
    // What the API server lets pass where requestHeaders are the default ones.
    if (!requestHeaders.includes(header))
      context.problem(
        [...path, 'cache', 'headers', index],
        'Invalid',
        `${header} is not among requestHeaders: the server does not see it`,
      );
  }
  return {
    kind: 'forward',
    name,
    url: spec.url,
    timeoutMs: durationMs(spec.timeout ?? '2s'),
    requestHeaders,
    consumerHeader: spec.consumerHeader?.toLowerCase() ?? 'x-consumer',
    groupsHeader: spec.groupsHeader?.toLowerCase() ?? 'x-consumer-groups',
    copyHeaders: lower(spec.copyHeaders ?? []),
    cacheMs: spec.cache === undefined ? 0 : durationMs(spec.cache.for),
    cacheHeaders,
    cacheScope: spec.cache?.scope === 'Caller' ? 'caller' : 'request',
    keepCredential: spec.keepCredential,
  };
}

function lower(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))];
}
