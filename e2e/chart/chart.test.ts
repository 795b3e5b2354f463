import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { chart, environment, helm, type Manifest, pick, podTemplate, render, root, valuesFolder } from './render.ts';

const valuesFiles = readdirSync(valuesFolder);

test('there are several values files', () => {
  expect(valuesFiles.length).toBeGreaterThanOrEqual(5);
});

describe.each(valuesFiles)('%s', (values) => {
  test('passes helm lint --strict', async () => {
    await helm('lint', '--strict', chart, '--values', join(valuesFolder, values));
  });

  test('no container can become root, write to its root or gain rights', async () => {
    const pods = (await render({ values })).flatMap((manifest) => {
      if (manifest.kind === 'Pod') return [manifest.spec];
      return manifest.kind === 'Deployment' ? [manifest.spec.template.spec] : [];
    });
    expect(pods.length).toBeGreaterThanOrEqual(2);
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532 });
      expect(pod.hostNetwork ?? pod.hostPID ?? pod.hostIPC).toBeUndefined();
      expect((pod.volumes ?? []).filter((volume: Manifest) => volume.hostPath !== undefined)).toEqual([]);
      for (const container of pod.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          privileged: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(container.resources.requests).toBeDefined();
      }
    }
  });

  test('selectors select the pods they mean, and no others', async () => {
    const manifests = await render({ values });
    const templates = ['controller', 'dataplane'].map((component) => podTemplate(manifests, component));
    const matching = (labels: Record<string, string>) =>
      templates.filter(({ metadata }) =>
        Object.entries(labels).every(([name, value]) => metadata.labels[name] === value),
      );
    for (const { kind, spec, metadata } of manifests) {
      const selector = { Service: spec?.selector, NetworkPolicy: spec?.podSelector?.matchLabels }[kind as string];
      const labels =
        selector ?? (['Deployment', 'PodDisruptionBudget'].includes(kind) ? spec.selector.matchLabels : null);
      if (labels === null) continue;
      expect(matching(labels), `${kind} ${metadata.name}`).toHaveLength(1);
    }
  });

  test('every port a Service or a probe names is one of the container', async () => {
    const manifests = await render({ values });
    for (const { kind, spec } of manifests) {
      if (kind !== 'Service') continue;
      const { containers } = podTemplate(manifests, spec.selector['app.kubernetes.io/component']).spec;
      const names = containers[0].ports.map((port: Manifest) => port.name);
      for (const { targetPort } of spec.ports) expect(names).toContain(targetPort);
    }
  });

  test('the programs understand their variables', async () => {
    const manifests = await render({ values });
    const fields = {
      'metadata.name': 'pod-1',
      'metadata.namespace': 'gateways',
      'status.podIP': '10.244.0.9',
      'limits.cpu': '2',
      'secret/redis/connection.url': 'rediss://user:password@redis.example:6380/0',
      'secret/credentials/mysql.url': 'mysql://user:password@db.example/tidegate?tls=true',
    };
    for (const program of ['controller', 'dataplane'] as const) {
      const env = environment(podTemplate(manifests, program), fields);
      const report = await readConfiguration(program, env);
      expect(report, `${program}: ${JSON.stringify(report)}`).toMatchObject({ errors: [], unknown: [] });
    }
  });
});

describe('what values.schema.json refuses, by name', () => {
  test.each([
    ['dataplane.replicas', '"two"', "'/dataplane/replicas': got string, want integer"],
    ['dataplane.repliacs', '3', "'/dataplane': additional properties 'repliacs' not allowed"],
    ['autoscale', '{}', "additional properties 'autoscale' not allowed"],
    ['service.type', '"Ingress"', "'/service/type': value must be one of"],
    ['service.port', '70000', "'/service/port': maximum: got 70,000, want 65,535"],
    ['autoscaling.metric', '"memory"', "'/autoscaling/metric': value must be one of"],
    ['autoscaling.minReplicas', '0', "'/autoscaling/minReplicas'"],
    ['dataplane.image.digest', '"sha256:short"', "'/dataplane/image/digest'"],
    ['dataplane.resources.limits.memory', '"lots"', "'/dataplane/resources/limits/memory'"],
    ['dataplane.log.access', '"console"', "'/dataplane/log/access'"],
    ['dataplane.credentials.url', '"mysql://a"', "'/dataplane/credentials': additional properties 'url' not allowed"],
    ['dataplane.redis.url', '"redis://a"', "'/dataplane/redis': additional properties 'url' not allowed"],
    ['controller.replicas', '0', "'/controller/replicas'"],
    ['certificates.source', '"vault"', "'/certificates/source'"],
    ['gateway', '"Two Words"', "'/gateway'"],
  ])('%s=%s', async (name, value, message) => {
    await expect(render({ set: { [name]: value } })).rejects.toThrow(message);
  });

  test('contradictions too', async () => {
    await expect(render({ set: { 'autoscaling.minReplicas': '20' } })).rejects.toThrow(
      'autoscaling.minReplicas (20) must not be more than autoscaling.maxReplicas (10)',
    );
    await expect(render({ set: { 'certificates.source': '"existing"' } })).rejects.toThrow('must name a Secret');
  });

  test('a cluster that is too old', async () => {
    await expect(render({ kubeVersion: '1.30.3' })).rejects.toThrow('>=1.31.0-0');
  });
});

test('the notes say what starts, and what to type next', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-chart-'));
  try {
    const copy = join(folder, 'tidegate');
    cpSync(chart, copy, { recursive: true });
    renameSync(join(copy, 'templates', 'NOTES.txt'), join(copy, 'notes.tpl'));
    writeFileSync(
      join(copy, 'templates', 'notes.yaml'),
      '{"kind": "Notes", "metadata": {"name": "notes"}, "text": {{ tpl (.Files.Get "notes.tpl") . | toJson }}}\n',
    );
    const notes = async (set: Record<string, string>): Promise<string> =>
      pick(await render({ chart: copy, set }), 'Notes', 'notes').text;
    expect(await notes({})).toContain(
      'Tidegate is starting: 2 controllers, 2 data planes (HPA: 2 to 10 on 200 requests in flight a pod).\n' +
        '  kubectl -n gateways get pods,hpa\n',
    );
    expect(await notes({})).toContain('helm install tidegate-crds');
    const fixed = await notes({
      'autoscaling.enabled': 'false',
      'dataplane.replicas': '1',
      'controller.replicas': '1',
    });
    expect(fixed).toContain(
      'Tidegate is starting: 1 controller, 1 data plane (no HPA).\n  kubectl -n gateways get pods\n',
    );
    expect(await notes({ 'customMetrics.enabled': 'false' })).toContain('the HPA waits until another adapter');
    const existing = '{"source":"existing","existing":{"controllerSecret":"a","dataplaneSecret":"b"}}';
    expect(await notes({ certificates: existing })).toContain('  tidegate-controller.gateways.svc\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.each([
  ['Redis', 'redis', 'TIDEGATE_REDIS_URL'],
  ['the credential store', 'credentials', 'TIDEGATE_CREDENTIALS'],
])('the URL of %s comes from a Secret, and from nowhere where none is named', async (_name, value, variable) => {
  const url = async (set: Record<string, string>) =>
    podTemplate(await render({ set }), 'dataplane').spec.containers[0].env.find(
      ({ name }: Manifest) => name === variable,
    );
  expect(await url({})).toBeUndefined();
  expect(await url({ [`dataplane.${value}.secretName`]: '"held"' })).toEqual({
    name: variable,
    valueFrom: { secretKeyRef: { name: 'held', key: 'url' } },
  });
});

test('the README names only values there are', () => {
  const values = Object.keys(JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8')).properties);
  const named = [...readFileSync(join(chart, 'README.md'), 'utf8').matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(10);
  for (const name of named) expect(values).toContain(name);
});

test('every value has its default in values.yaml and its type in the schema', async () => {
  const { parse } = await import('yaml');
  const defaults = leaves(parse(readFileSync(join(chart, 'values.yaml'), 'utf8')));
  const schema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8'));
  const missing = defaults.filter((path) => !inSchema(schema, schema, path));
  expect(missing).toEqual([]);
});

function leaves(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  const entries = Object.entries(value);
  return entries.length === 0 ? [path] : entries.flatMap(([name, inner]) => leaves(inner, [...path, name]));
}

function inSchema(schema: Manifest, node: Manifest, path: readonly string[]): boolean {
  const here = node?.$ref === undefined ? node : schema.definitions[node.$ref.split('/').pop()];
  const [name, ...rest] = path;
  if (name === undefined) return here !== undefined;
  const next =
    here?.properties?.[name] ??
    (typeof here?.additionalProperties === 'object' ? here.additionalProperties : undefined);
  return next !== undefined && inSchema(schema, next, rest);
}

/** What the program's own configuration reader says to an environment. Run apart: this package knows neither program. */
async function readConfiguration(
  program: 'controller' | 'dataplane',
  env: Record<string, string>,
): Promise<{ errors: string[]; unknown: string[] }> {
  const code =
    program === 'dataplane'
      ? `import { loadConfig } from './config.ts';
         const loaded = loadConfig(process.env, []);
         console.log(JSON.stringify({ errors: loaded.errors ?? [], unknown: loaded.warnings ?? [] }));`
      : `import { readConfig } from './config.ts';
         const { text } = readConfig(['--help'], {});
         const unknown = Object.keys(process.env).filter((name) => name.startsWith('TIDEGATE_'))
           .filter((name) => !text.includes('--' + name.slice(9).toLowerCase().replaceAll('_', '-') + ' '));
         const errors = [];
         try { readConfig([], process.env); } catch (error) { errors.push(error.message); }
         console.log(JSON.stringify({ errors, unknown }));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=source', '--input-type=module', '--eval', code],
    { cwd: join(root, program), env, timeout: 30_000 },
  );
  return JSON.parse(stdout);
}
