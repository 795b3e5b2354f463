import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Manifest, pick, podTemplate, render, valuesFolder } from './render.ts';

describe('rights', () => {
  const rulesOf = (manifest: Manifest) =>
    manifest.rules.map((rule: Manifest) => [rule.apiGroups.join(), rule.resources.join(), rule.verbs.join()].join(' '));
  const watched = [
    'tidegate.dev routes,backends,policies get,list,watch',
    'tidegate.dev routes/status,backends/status,policies/status patch',
    ' services get,list,watch',
    'discovery.k8s.io endpointslices get,list,watch',
  ];
  const asking = ['authentication.k8s.io tokenreviews create', 'authorization.k8s.io subjectaccessreviews create'];
  const SECRETS = ' secrets get,list,watch';
  const events = 'events.k8s.io events create';

  test('the controller has exactly these', async () => {
    const manifests = await render({});
    expect(rulesOf(pick(manifests, 'ClusterRole', 'gateways-tidegate-controller'))).toEqual([
      ...watched,
      SECRETS,
      events,
      ...asking,
    ]);
    const own = pick(manifests, 'Role', 'tidegate-controller');
    expect(own.metadata.namespace).toBe('gateways');
    expect(rulesOf(own)).toEqual([
      'coordination.k8s.io leases create',
      'coordination.k8s.io leases get,update',
      'discovery.k8s.io endpointslices get,list,watch',
      ' pods list',
    ]);
    expect(own.rules[1].resourceNames).toEqual(['tidegate-controller']);
    const bindings = manifests.filter(({ kind }) => kind.endsWith('RoleBinding'));
    const granted = bindings.map(({ metadata, roleRef, subjects }) =>
      [
        metadata.namespace ?? '*',
        `${roleRef.kind}/${roleRef.name}`,
        ...subjects.map((s: Manifest) => `${s.namespace}/${s.name}`),
      ].join(' '),
    );
    expect(granted.sort()).toEqual([
      '* ClusterRole/gateways-tidegate-controller gateways/tidegate-controller',
      '* ClusterRole/gateways-tidegate-custom-metrics-readers kube-system/horizontal-pod-autoscaler',
      'gateways Role/tidegate-controller gateways/tidegate-controller',
      'kube-system Role/extension-apiserver-authentication-reader gateways/tidegate-controller',
    ]);
  });

  test('without the metrics API it asks the API server about nobody', async () => {
    const manifests = await render({ values: 'fixed-replicas-values.yaml' });
    expect(rulesOf(pick(manifests, 'ClusterRole', 'gateways-tidegate-controller'))).toEqual([...watched, events]);
    expect(manifests.filter(({ metadata }) => metadata.namespace === 'kube-system')).toEqual([]);
    expect(manifests.map(({ kind }) => kind)).not.toContain('APIService');
  });

  test('limited to namespaces it has rights only there, and to Secrets', async () => {
    const manifests = await render({ values: 'locked-down-values.yaml' });
    const name = 'gateways-tenant-gateway-controller';
    const roles = manifests.filter(({ kind, metadata }) => kind === 'Role' && metadata.name === name);
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['shop', 'billing']);
    for (const role of roles) expect(rulesOf(role)).toEqual([...watched, SECRETS, events]);
    expect(rulesOf(pick(manifests, 'ClusterRole', name))).toEqual(asking);
  });

  test('data planes have no role and no token', async () => {
    for (const values of readdirSync(valuesFolder)) {
      const manifests = await render({ values });
      const { spec } = podTemplate(manifests, 'dataplane');
      expect(spec.automountServiceAccountToken).toBe(false);
      const subjects = manifests.flatMap((manifest) => manifest.subjects ?? []).map(({ name }: Manifest) => name);
      expect(subjects).not.toContain(spec.serviceAccountName);
      const volumes = spec.volumes.filter((volume: Manifest) => volume.projected !== undefined);
      expect(volumes).toEqual([]);
    }
  });
});

test('network policies: the gateway for those named, gRPC for our own pods, the rest for nobody', async () => {
  const manifests = await render({ values: 'locked-down-values.yaml' });
  const dataplane = pick(manifests, 'NetworkPolicy', 'tenant-gateway-dataplane');
  expect(dataplane.spec.ingress[0]).toEqual({
    ports: [
      { port: 'http', protocol: 'TCP' },
      { port: 'https', protocol: 'TCP' },
      { port: 'h2c', protocol: 'TCP' },
    ],
    from: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
  });
  const controller = pick(manifests, 'NetworkPolicy', 'tenant-gateway-controller');
  const [grpc] = controller.spec.ingress;
  expect(grpc.ports).toEqual([{ port: 'grpc', protocol: 'TCP' }]);
  expect(grpc.from.map((from: Manifest) => from.podSelector.matchLabels['app.kubernetes.io/component'])).toEqual([
    'dataplane',
    'controller',
  ]);
  expect((await render({})).map(({ kind }) => kind)).not.toContain('NetworkPolicy');
});
