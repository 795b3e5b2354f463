/** Tidegate with the policies under measurement, everything else as in peers/tidegate.ts: access log and metrics on. */
import type { Peer } from '../peers/peer.ts';
import { backendAt, plain, routeYaml, startTidegate, type Variant } from '../peers/tidegate.ts';
import { apiKeySection, policyYaml, type Sections, secretYaml } from './policies.ts';

export function tidegateWith(name: string, about: string, variant: Variant): Peer {
  return { name, about, needs: [], start: (context) => startTidegate(context, variant) };
}

/** The plain Route with these sections. */
export function withSections(sections: Sections, env: Readonly<Record<string, string>> = {}): Variant {
  return {
    env,
    files: (context) => ({ ...plain.files(context), 'policy.yaml': policyYaml('measured', 'all', sections) }),
  };
}

/** The plain Route beside one at /stack that has these sections. */
export function besideSections(sections: Sections): Variant {
  return {
    files: ({ endpoints }) => ({
      'gateway.yaml': [backendAt(endpoints), routeYaml('all', '/'), routeYaml('stack', '/stack')].join('---\n'),
      'policy.yaml': policyYaml('other', 'stack', sections),
    }),
  };
}

/** A Secret holds at most 1 MiB, and a policy names at most 16 of them. */
const KEYS_A_SECRET = 1000;

/** One consumer a key, in Secrets of 1,000 each. */
export function withApiKeys(keys: readonly string[]): Variant {
  const secrets = new Map<string, string>();
  for (let at = 0; at < keys.length; at += KEYS_A_SECRET) {
    const name = `consumers-${at / KEYS_A_SECRET}`;
    const entries = keys.slice(at, at + KEYS_A_SECRET).map((key, i) => [`consumer-${at + i}`, key] as const);
    secrets.set(name, secretYaml(name, Object.fromEntries(entries)));
  }
  const base = withSections({ authentication: apiKeySection([...secrets.keys()]) });
  return {
    ...base,
    files: (context) => ({
      ...base.files(context),
      ...Object.fromEntries([...secrets].map(([name, text]) => [`${name}.yaml`, text])),
    }),
  };
}
