/** `spec.tls` of a Route as resources. Pure. */
import type { Resource } from '@tidegate/dataplane/snapshot/resources';
import type { TlsResource } from '@tidegate/dataplane/snapshot/tls';
import type { Problem } from '../api/problem.ts';
import type { RouteModel } from '../model/route.ts';
import { authoritiesOf, keyPairOf, type SecretFault, type SecretSource } from '../model/tls-secrets.ts';
import type { BackendFailure } from './rule.ts';

export interface CompiledTls {
  readonly resources: readonly Resource[];
  /** Of the Secrets. */
  readonly problems: readonly Problem[];
}

export interface TlsSurroundings {
  readonly secrets: SecretSource;
  /** Null: the Backend serves. */
  readonly failureOf: (namespace: string, backend: string) => BackendFailure | null;
}

export function compileTls(route: RouteModel, { secrets, failureOf }: TlsSurroundings): CompiledTls {
  const { ref, tls } = route;
  if (tls === undefined || route.hosts.length === 0) return { resources: [], problems: [] };
  const of = `Route/${ref.namespace}/${ref.name}`;
  const base = {
    kind: 'tls' as const,
    id: `tls/${ref.namespace}/${ref.name}`,
    hosts: [...new Set(route.hosts)].sort(),
    createdAtMs: route.createdAtMs,
  };
  const failing = (message: string, required: boolean): TlsResource => ({
    ...base,
    action: { kind: 'fail', message, ...(required && { requiresCertificate: true as const }) },
  });
  // What is asked of clients can't be read, so that it may be a certificate.
  if (tls === null) return { resources: [failing('spec.tls is invalid', true)], problems: [] };
  if (tls.passthrough === true) {
    const name = route.rules[0]?.spec?.backends?.[0]?.name;
    if (name === undefined || failureOf(ref.namespace, name) !== null)
      return { resources: [failing('there is no backend to pass through to', true)], problems: [] };
    return {
      resources: [{ ...base, action: { kind: 'passthrough', backend: `backend/${ref.namespace}/${name}` } }],
      problems: [],
    };
  }
  const problems: Problem[] = [];
  const taken = <T extends object>(found: T | SecretFault, path: string): T | null => {
    if (!('reason' in found)) return found;
    problems.push({ object: ref, path, reason: found.reason, message: found.message });
    return null;
  };
  const { secret = '', clientCertificate: client } = tls;
  const shown = taken(keyPairOf(secrets, ref.namespace, secret), 'spec.tls.secret');
  const trusted =
    client === undefined
      ? null
      : taken(authoritiesOf(secrets, ref.namespace, client.ca.secret), 'spec.tls.clientCertificate.ca.secret');
  if (shown === null || (client !== undefined && trusted === null)) {
    const message = problems.map((problem) => problem.reason).join(', ');
    return { resources: [failing(message, client?.mode === 'required')], problems };
  }
  const certificate = `certificate/${of}/${secret}`;
  const trust = `trust/${of}/${client?.ca.secret}`;
  return {
    resources: [
      {
        ...base,
        action: {
          kind: 'terminate',
          certificate,
          ...(client !== undefined && { clientCertificate: { mode: client.mode, trust } }),
        },
      },
      { kind: 'certificate', id: certificate, ...shown },
      ...(trusted === null ? [] : [{ kind: 'trust' as const, id: trust, ...trusted }]),
    ],
    problems,
  };
}
