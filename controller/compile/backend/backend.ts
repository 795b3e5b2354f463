/** A Backend as its resources, and what a Route is told when there is none. Pure. */
import type { Resource } from '@tidegate/dataplane/snapshot/resources';
import { durationMs } from '../../api/duration.ts';
import type { ProblemReason } from '../../api/problem.ts';
import type { BackendModel } from '../../model/backend.ts';
import type { BackendFailure } from '../rule.ts';
import { compileBalancing } from './balancing.ts';
import { compileBreaker } from './breaker.ts';
import { compileEndpoints } from './endpoints.ts';
import { compileHealth } from './health.ts';
import { compilePool } from './pool.ts';
import { compileMaterials, compileTransport } from './transport.ts';

const DEFAULT_CONNECT_TIMEOUT_MS = 2_000;

/** None for a Backend that is invalid or whose Service can't be followed: Routes answer for it themselves. */
export function compileBackend(backend: BackendModel): Resource[] {
  const { spec } = backend;
  if (spec === null || backend.problems.length > 0) return [];
  const path = `${backend.ref.namespace}/${backend.ref.name}`;
  const { timeouts, pool, health, breaker } = spec;
  return [
    {
      kind: 'backend',
      id: `backend/${path}`,
      ...compileTransport(spec, backend),
      balancing: compileBalancing(spec.balancing, backend.uid ?? path),
      connectTimeoutMs: timeouts?.connect === undefined ? DEFAULT_CONNECT_TIMEOUT_MS : durationMs(timeouts.connect),
      pool: compilePool(pool),
      ...(health === undefined ? {} : { health: compileHealth(health) }),
      ...(breaker === undefined ? {} : { breaker: compileBreaker(breaker) }),
      endpoints: `endpoints/${path}`,
    },
    compileEndpoints(`endpoints/${path}`, backend),
    ...compileMaterials(backend),
  ];
}

/** Why a Route can't use a Backend: for its clients, and for its own status. */
export interface BackendRefusal {
  readonly failure: BackendFailure;
  readonly reason: ProblemReason;
  readonly message: string;
}

/** Null: it can. `undefined` in: there is none of this name. */
export function refusalOf(backend: BackendModel | undefined, namespace: string, name: string): BackendRefusal | null {
  if (backend === undefined) {
    return {
      failure: { status: 500, code: 'backend-not-found', message: 'The backend of this route does not exist.' },
      reason: 'BackendNotFound',
      message: `Backend ${namespace}/${name} does not exist`,
    };
  }
  const problem = backend.problems[0];
  if (problem === undefined) return null;
  if (problem.reason === 'Invalid' || problem.reason === 'NotAllowed') {
    return {
      failure: { status: 500, code: 'backend-invalid', message: 'The backend of this route is invalid.' },
      reason: 'BackendInvalid',
      message: `Backend ${namespace}/${name} is invalid: ${problem.path}: ${problem.message}`,
    };
  }
  if (problem.reason === 'CertificateNotFound' || problem.reason === 'InvalidCertificate') {
    return {
      failure: {
        status: 503,
        code: 'backend-certificate',
        message: 'A certificate that the backend of this route needs is not available.',
      },
      reason: problem.reason,
      message: `Backend ${namespace}/${name}: ${problem.message}`,
    };
  }
  return {
    failure: { status: 503, code: 'service-not-found', message: 'The service behind this route is not available.' },
    reason: problem.reason,
    message: `Backend ${namespace}/${name}: ${problem.message}`,
  };
}
