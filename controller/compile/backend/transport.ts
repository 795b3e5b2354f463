/** What a Backend speaks, as the contract has it, with the certificates that go along. */
import type { BackendResource } from '@tidegate/dataplane/snapshot/resources';
import type { CertificateResource, TrustResource } from '@tidegate/dataplane/snapshot/tls';
import type { BackendSpec } from '../../api/v1alpha1/backend.ts';
import type { BackendModel } from '../../model/backend.ts';

type Transport = Pick<BackendResource, 'protocol' | 'grpc' | 'tls' | 'proxyProtocol'>;

export function compileTransport(spec: BackendSpec, backend: BackendModel): Transport {
  const { protocol, proxyProtocol } = spec;
  const http1 = protocol === 'http1' || protocol === 'https';
  return {
    protocol: http1 ? 'http1' : 'http2',
    ...(protocol === 'grpc' && { grpc: true as const }),
    ...(overTls(spec) && { tls: compileTls(spec, backend) }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  };
}

/** Resources of their own: a change of a certificate leaves the backend as it is. */
export function compileMaterials({ ref, spec, materials }: BackendModel): (CertificateResource | TrustResource)[] {
  const { certificate, trust } = materials;
  const { ca, clientCertificate } = spec?.tls ?? {};
  const id = (kind: string, secret: string): string => `${kind}/backend/${ref.namespace}/${ref.name}/${secret}`;
  return [
    ...(certificate === null || clientCertificate === undefined
      ? []
      : [{ kind: 'certificate' as const, id: id('certificate', clientCertificate.secret), ...certificate }]),
    ...(trust === null || ca === undefined ? [] : [{ kind: 'trust' as const, id: id('trust', ca.secret), ...trust }]),
  ];
}

function overTls({ protocol, tls }: BackendSpec): boolean {
  return protocol === 'https' || protocol === 'h2' || (protocol === 'grpc' && tls !== undefined);
}

function compileTls(spec: BackendSpec, backend: BackendModel): NonNullable<BackendResource['tls']> {
  const serverName = spec.tls?.serverName ?? backend.serviceName;
  const { subjectAltNames } = spec.tls ?? {};
  const materials = compileMaterials(backend);
  const certificate = materials.find(({ kind }) => kind === 'certificate')?.id;
  const trust = materials.find(({ kind }) => kind === 'trust')?.id;
  return {
    ...(serverName === undefined ? {} : { serverName }),
    ...(trust === undefined ? {} : { trust }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(subjectAltNames === undefined ? {} : { subjectAltNames }),
  };
}
