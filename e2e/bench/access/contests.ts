/** Who is compared with whom, under which requests, and the ratios that issue 3 asks for. */
import { randomBytes } from 'node:crypto';
import { bodies } from '../peers/backend.ts';
import { envoy } from '../peers/envoy.ts';
import { nginx } from '../peers/nginx.ts';
import { plain, tidegate } from '../peers/tidegate.ts';
import type { Contest } from '../scenarios/compare.ts';
import type { Request } from '../scenarios/turns.ts';
import { envoyStack } from './envoy-stack.ts';
import { byTenant, limitSection, wholeStack } from './policies.ts';
import { besideSections, tidegateWith, withApiKeys, withSections } from './tidegate-variants.ts';
import type { TokenMaker } from './tokens.ts';
import { KEY_HEADER, ORIGIN, TENANT_HEADER } from './what.ts';
import { type Varying, writeWrkScript } from './wrk-script.ts';

export interface Surroundings {
  /** For scripts and their values. */
  readonly dir: string;
  readonly tokens: TokenMaker;
  /** Absent: there is none, and what needs it is left out. */
  readonly redisUrl: string | undefined;
}

const TOKENS = 100;
const CONSUMERS = 10_000;
const TENANTS = 100;

/** One group of peers: only those of one contest run at a time. */
export function contests({ dir, tokens, redisUrl }: Surroundings): Contest[] {
  const requests = (name: string, varying: Omit<Varying, 'path' | 'headers'>, path = bodies.small.path): Request => {
    const headers = { Origin: ORIGIN };
    return {
      ...{ path, content: bodies.small.content },
      headers: { ...headers, [varying.name]: varying.prefix + varying.values[0] },
      script: writeWrkScript(dir, name, { ...varying, path, headers }),
    };
  };
  const bearer = { name: 'Authorization', prefix: 'Bearer ', values: tokens.many(TOKENS, 'RS256') };
  const keys = Array.from({ length: CONSUMERS }, () => randomBytes(24).toString('base64url'));
  const tenants = Array.from({ length: TENANTS }, (_, i) => `tenant-${i}`);
  const stack = wholeStack(tokens.jwks);
  const limited = (name: string, about: string, limit: object, env = {}) =>
    tidegateWith(name, about, withSections({ rateLimit: limitSection({ ...byTenant, ...limit }) }, env));
  return [
    {
      id: 'stack',
      name: 'the whole stack, 100 RS256 tokens',
      peers: [
        nginx,
        tidegate,
        tidegateWith('tidegate stack', 'JWT, local limit, CORS, two edits', withSections(stack)),
        envoy,
        envoyStack(tokens.jwks),
      ],
      request: requests('tokens', bearer),
      checks: [{ proxies: ['tidegate stack', 'envoy stack'], headers: { Origin: ORIGIN }, status: 401 }],
      goals: [
        { proxy: 'tidegate stack', against: 'nginx', atMost: 1.25 },
        { proxy: 'tidegate stack', against: 'envoy stack', atMost: 0.7 },
      ],
    },
    {
      id: 'keys',
      long: true,
      name: '10,000 API keys',
      peers: [tidegate, tidegateWith('tidegate keys', 'API keys of Secrets', withApiKeys(keys))],
      request: requests('keys', { name: KEY_HEADER, prefix: '', values: keys }),
      checks: [{ proxies: ['tidegate keys'], headers: { [KEY_HEADER]: 'unknown' }, status: 401 }],
      goals: [{ proxy: 'tidegate keys', against: 'tidegate', atMost: 1.1 }],
    },
    {
      id: 'limits',
      name: 'rate limits, 100 tenants',
      peers: [
        tidegate,
        limited('limit local', 'each data plane by itself', { scope: 'local' }),
        limited('limit share', 'global by replica share', { scope: 'global', store: 'memory' }),
        ...(redisUrl === undefined
          ? []
          : [
              limited(
                'limit leased',
                'global by Redis, in batches',
                { scope: 'global', store: 'redis', mode: 'leased' },
                { TIDEGATE_REDIS_URL: redisUrl },
              ),
            ]),
      ],
      request: requests('tenants', { name: TENANT_HEADER, prefix: '', values: tenants }),
      checks: [],
      goals: [
        { proxy: 'limit share', against: 'limit local', atMost: 1.02 },
        ...(redisUrl === undefined ? [] : [{ proxy: 'limit leased', against: 'limit local', atMost: 1.1 }]),
      ],
    },
    {
      id: 'unused',
      long: true,
      name: 'sections that a rule does not use',
      peers: [
        tidegateWith('alone', 'one plain rule', plain),
        tidegateWith('beside a stack', 'the same rule beside one with all sections', besideSections(stack)),
        tidegateWith('beside a busy stack', 'the same, after the other rule was called', besideSections(stack)),
      ],
      request: { path: bodies.small.path, content: bodies.small.content },
      checks: [],
      goals: ['beside a stack', 'beside a busy stack'].map((proxy) => ({ proxy, against: 'alone', atMost: 1 })),
      before: { proxy: 'beside a busy stack', request: requests('beside', bearer, '/stack') },
    },
  ];
}
