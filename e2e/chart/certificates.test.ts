import { createPrivateKey, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { environment, type Manifest, pick, podTemplate, render } from './render.ts';

const decode = (text: string): string => Buffer.from(text, 'base64').toString();

function certificates(manifests: readonly Manifest[], name = 'tidegate') {
  const read = (secret: string) => pick(manifests, 'Secret', `${name}-${secret}`).data;
  const leaf = (data: Record<string, string>) => ({
    certificate: new X509Certificate(decode(data['tls.crt'] ?? '')),
    key: createPrivateKey(decode(data['tls.key'] ?? '')),
    authority: decode(data['ca.crt'] ?? ''),
  });
  return {
    authority: new X509Certificate(decode(read('ca')['ca.crt'])),
    controller: leaf(read('controller-tls')),
    dataplane: leaf(read('dataplane-tls')),
  };
}

test('one authority signs a certificate for the controllers and one for the data planes', async () => {
  const manifests = await render({});
  const { authority, controller, dataplane } = certificates(manifests);
  expect(authority.ca).toBe(true);
  for (const { certificate, key, authority: bundled } of [controller, dataplane]) {
    expect(certificate.ca).toBe(false);
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(key)).toBe(true);
    expect(new X509Certificate(bundled).fingerprint256).toBe(authority.fingerprint256);
    expect(certificate.keyUsage).toContain('1.3.6.1.5.5.7.3.2');
  }
  const { caBundle } = pick(manifests, 'APIService', 'v1beta2.custom.metrics.k8s.io').spec;
  expect(new X509Certificate(decode(caBundle)).fingerprint256).toBe(authority.fingerprint256);
});

test('the names hold for data planes, for peers by any address, and for the API server', async () => {
  const manifests = await render({});
  const { controller, dataplane } = certificates(manifests);
  const known = (host: string) => controller.certificate.checkHost(host) !== undefined;
  const dataplaneEnv = environment(podTemplate(manifests, 'dataplane'), {});
  const controllerEnv = environment(podTemplate(manifests, 'controller'), {});
  expect(known(dataplaneEnv.TIDEGATE_CONTROLLER?.split(':')[0] ?? '')).toBe(true);
  expect(known(controllerEnv.TIDEGATE_TLS_SERVER_NAME ?? '')).toBe(true);
  expect(known('10-244-0-7.tidegate-controller-peers.gateways.svc.cluster.local')).toBe(true);
  const { service } = pick(manifests, 'APIService', 'v1beta2.custom.metrics.k8s.io').spec;
  expect(known(`${service.name}.${service.namespace}.svc`)).toBe(true);
  expect(known('tidegate-controller.elsewhere.svc')).toBe(false);
  // each side is let in by a name only it has
  expect(controllerEnv.TIDEGATE_TLS_DATAPLANE_NAMES).toBe('tidegate-dataplane');
  expect(dataplane.certificate.checkHost('tidegate-dataplane')).toBeDefined();
  expect(known('tidegate-dataplane')).toBe(false);
  expect(known(controllerEnv.TIDEGATE_TLS_PEER_NAMES ?? '')).toBe(true);
  expect(dataplane.certificate.checkHost(controllerEnv.TIDEGATE_TLS_PEER_NAMES ?? '')).toBeUndefined();
});

test('another release, namespace and domain have other names', async () => {
  const manifests = await render({ release: 'edge', set: { clusterDomain: '"corp.internal"' } });
  const { controller } = certificates(manifests, 'edge');
  expect(controller.certificate.checkHost('edge-controller.gateways.svc.corp.internal')).toBeDefined();
  expect(controller.certificate.checkHost('tidegate-controller.gateways.svc')).toBeUndefined();
});

test('pods are rolled with their certificate; the key of the authority is mounted nowhere', async () => {
  const [first, second] = [await render({}), await render({})];
  for (const component of ['controller', 'dataplane']) {
    const mark = (manifests: Manifest[]) =>
      podTemplate(manifests, component).metadata.annotations['tidegate.dev/certificate'];
    expect(mark(first)).toMatch(/^[0-9a-f]{32}$/);
    expect(mark(first)).not.toBe(mark(second));
    const secrets = podTemplate(first, component).spec.volumes.flatMap(
      (volume: Manifest) => volume.secret?.secretName ?? [],
    );
    expect(secrets).toEqual([`tidegate-${component}-tls`]);
  }
});

test('with Secrets of your own the chart makes none, and the API server trusts what you say', async () => {
  const manifests = await render({ values: 'existing-certificates-values.yaml' });
  expect(manifests.map(({ kind }) => kind)).not.toContain('Secret');
  const secretOf = (component: string) =>
    podTemplate(manifests, component).spec.volumes.find((volume: Manifest) => volume.secret !== undefined).secret
      .secretName;
  expect([secretOf('controller'), secretOf('dataplane')]).toEqual([
    'gateway-controller-cert',
    'gateway-dataplane-cert',
  ]);
  const service = pick(manifests, 'APIService', 'v1beta2.custom.metrics.k8s.io');
  expect(service.spec).not.toHaveProperty('caBundle');
  expect(service.metadata.annotations['cert-manager.io/inject-ca-from']).toBe('tidegate/gateway-controller-cert');
});
