/** Tidegate's policies under measurement, as a user writes them (JSON is YAML too). */
import { AUDIENCE, ISSUER } from './tokens.ts';
import { EDITS, KEY_HEADER, ORIGIN, TENANT_HEADER } from './what.ts';

export type Sections = Readonly<Record<string, object>>;

/** A Policy for the Route `name`, or for one rule of it. */
export function policyYaml(name: string, route: string, sections: Sections): string {
  return yaml({
    apiVersion: 'tidegate.dev/v1alpha1',
    kind: 'Policy',
    metadata: { name, namespace: 'bench' },
    spec: { targetRefs: [{ kind: 'Route', name: route }], ...sections },
  });
}

/** A Secret with API keys, a consumer each. */
export function secretYaml(name: string, keys: Readonly<Record<string, string>>): string {
  return yaml({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'bench' }, stringData: keys });
}

const yaml = (document: object) => `${JSON.stringify(document)}\n`;

export const jwtSection = (jwks: string) => ({
  methods: [{ name: 'login', jwt: { jwks: { inline: jwks }, issuers: [ISSUER], audiences: [AUDIENCE] } }],
});

export const apiKeySection = (secrets: readonly string[]) => ({
  methods: [{ name: 'key', apiKey: { from: [{ header: KEY_HEADER }], secretRefs: secrets.map((name) => ({ name })) } }],
});

/** Never reached: half a million a second for each key. */
const NEVER = { algorithm: 'tokenBucket', limit: 500_000, window: '1s' } as const;

export const limitSection = (limit: object) => ({ limits: [{ name: 'never', ...NEVER, ...limit }] });

export const byConsumer = { key: [{ by: 'consumer' }] };
export const byTenant = { key: [{ by: 'header', name: TENANT_HEADER }] };

/** JWT, a local limit for each consumer, CORS, one field set on the request and one on the response. */
export const wholeStack = (jwks: string): Sections => ({
  cors: { allowOrigins: [ORIGIN], allowMethods: ['GET', 'POST'], allowCredentials: true },
  authentication: jwtSection(jwks),
  rateLimit: limitSection({ scope: 'local', ...byConsumer }),
  transform: { request: { set: [EDITS.request] }, response: { set: [EDITS.response] } },
});
