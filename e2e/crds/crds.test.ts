/** The CRDs on a real API server: accepted, explained, and refusing bad objects with the field's name. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { type ApiServer, startApiServer } from './api-server.ts';
import { EDGES, type Edge, REGEXES } from './edge-values.ts';

interface Refused {
  readonly case: string;
  readonly kind: string;
  readonly spec: unknown;
  readonly field: string;
  readonly says: string;
}

const here = import.meta.dirname;
const root = path.join(here, '../..');
const refused = parse(readFileSync(path.join(here, 'refused.yaml'), 'utf8')) as Refused[];
const examples = path.join(root, 'controller/examples');

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
  const applied = await server.kubectl(['apply', ...definitions().flatMap((file) => ['-f', file])]);
  expect(applied.stderr).toBe('');
  expect(applied.code).toBe(0);
}, 900_000);

afterAll(async () => {
  await server?.stop();
});

function definitions(): string[] {
  const folder = path.join(root, 'crds');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => path.join(folder, name));
}

describe('the definitions', () => {
  test('are established', async () => {
    const waited = await server.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    expect(waited.stderr).toBe('');
    expect(waited.stdout.match(/condition met/g)).toHaveLength(3);
  });

  test('are structural: no NonStructuralSchema condition', async () => {
    const { stdout } = await server.kubectl(['get', 'crd', '-o', 'jsonpath={.items[*].status.conditions[*].type}']);
    expect(stdout).toContain('Established');
    expect(stdout).not.toContain('NonStructuralSchema');
  });

  test('have their short names and the category', async () => {
    const { stdout } = await server.kubectl([
      'api-resources',
      '--api-group=tidegate.dev',
      '--no-headers',
      '-o',
      'wide',
    ]);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    expect(lines.map(([name, short]) => [name, short])).toEqual([
      ['backends', 'tgb'],
      ['policies', 'tgp'],
      ['routes', 'tgr'],
    ]);
    for (const line of lines) expect(line.at(-1)).toBe('tidegate');
  });

  test('explain themselves, every field with a description', async () => {
    // The API server publishes the schemas a moment after a definition is established.
    const explain = async (what: string) => (await server.kubectl(['explain', what])).stdout;
    for (const kind of ['route', 'backend', 'policy']) {
      await expect.poll(() => explain(`${kind}.spec`), { timeout: 30_000 }).toContain('FIELDS:');
    }
    const rules = await explain('route.spec.rules');
    expect(rules).toContain('Forward to these Backends, by weight.');
    expect(rules).toContain('name\t<string> -required-');
    for (const kind of ['route', 'backend', 'policy']) {
      expect(await explain(`${kind}.spec`)).not.toContain('<no description>');
    }
  });
});

describe('good objects', () => {
  test('the example configuration is taken, and defaults are filled in', async () => {
    await server.kubectl(['create', 'namespace', 'shop']);
    const applied = await server.kubectl(['apply', '-f', examples]);
    expect(applied.stderr).toBe('');
    const { stdout } = await server.kubectl(['get', 'route', 'hello', '-o', 'json']);
    const { spec } = JSON.parse(stdout);
    expect(spec.gateway).toBe('tidegate');
    expect(spec.rules[0].backends[0].weight).toBe(1);
  });

  test('the columns of kubectl get', async () => {
    const header = async (kind: string) =>
      (await server.kubectl(['get', kind, '-A'])).stdout.split('\n')[0]?.split(/\s+/).filter(Boolean);
    expect(await header('routes')).toEqual([
      'NAMESPACE',
      'NAME',
      'HOSTS',
      'BACKENDS',
      'ACCEPTED',
      'PROGRAMMED',
      'REASON',
      'AGE',
    ]);
    expect(await header('backends')).toEqual([
      'NAMESPACE',
      'NAME',
      'TARGET',
      'PROTOCOL',
      'ENDPOINTS',
      'ACCEPTED',
      'AGE',
    ]);
    expect(await header('policies')).toEqual([
      'NAMESPACE',
      'NAME',
      'TARGETS',
      'SECTIONS',
      'ACCEPTED',
      'PROGRAMMED',
      'REASON',
      'AGE',
    ]);
  });

  test('a status is written through its own subresource, and only there', async () => {
    const status = {
      hosts: '*',
      backends: 'hello',
      reason: '',
      conditions: [
        {
          type: 'Accepted',
          status: 'True',
          observedGeneration: 1,
          lastTransitionTime: '2026-01-01T00:00:00Z',
          reason: 'Accepted',
          message: '',
        },
      ],
    };
    const patched = await server.kubectl([
      'patch',
      'route',
      'hello',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    ]);
    expect(patched.stderr).toBe('');
    const { stdout } = await server.kubectl(['get', 'route', 'hello', '-o', 'json']);
    const route = JSON.parse(stdout);
    expect(route.status).toEqual(status);
    expect(route.metadata.generation).toBe(1);
  });
});

describe('bad objects are refused, and the message names the field', () => {
  test.each(refused)('$case', async ({ kind, spec, field, says }) => {
    const object = { apiVersion: 'tidegate.dev/v1alpha1', kind, metadata: { name: 'bad', namespace: 'default' }, spec };
    // Without kubectl's own check of unknown fields: it is the API server that is asked.
    const result = await server.kubectl(['create', '--validate=false', '-f', '-'], stringify(object));
    expect(result.code, 'it was taken').not.toBe(0);
    const line = result.stderr.split('\n').find((text) => text.includes(says));
    expect(line, result.stderr).toBeDefined();
    expect(line).toContain(field);
    if (process.env.SHOW_MESSAGES !== undefined) process.stdout.write(result.stderr);
  });
});

describe('values at the edge: files and the API server agree', () => {
  /** The names of those taken, of `x0`, `x1`, … */
  async function takenByServer(edges: readonly Edge[]): Promise<Set<string>> {
    const items = edges.map(({ kind, spec }, index) => document(kind, spec, `x${index}`));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const { stdout } = await server.kubectl(['create', '--dry-run=server', '-o', 'name', '-f', '-'], list);
    return new Set([...stdout.matchAll(/\/(x\d+)/g)].map(([, name]) => name ?? ''));
  }

  async function takenFromFiles(edges: readonly Edge[]): Promise<Set<string>> {
    // The controller is another package, which this one does not build on.
    const module: string = path.join(root, 'controller/api/validate.ts');
    const { validateDocument } = (await import(module)) as {
      validateDocument(document: unknown): { problems: unknown[] };
    };
    const taken = edges.map(({ kind, spec }, index) => {
      const name = `x${index}`;
      return validateDocument(document(kind, spec, name)).problems.length === 0 ? name : '';
    });
    return new Set(taken.filter((name) => name !== ''));
  }

  const document = (kind: string, spec: object, name: string) => ({
    apiVersion: 'tidegate.dev/v1alpha1',
    kind,
    metadata: { name, namespace: 'default' },
    spec,
  });

  const specs = (edges: readonly Edge[], names: ReadonlySet<string>) =>
    edges.flatMap(({ spec }, index) => (names.has(`x${index}`) ? [JSON.stringify(spec).slice(0, 120)] : []));

  test('on everything but regular expressions', async () => {
    const taken = await takenByServer(EDGES);
    expect(taken.size).toBeGreaterThan(50);
    expect(specs(EDGES, taken)).toEqual(specs(EDGES, await takenFromFiles(EDGES)));
  });

  test('and no regular expression that files take is refused by the API server', async () => {
    const server = await takenByServer(REGEXES);
    const files = await takenFromFiles(REGEXES);
    expect(files.size).toBeGreaterThan(20);
    expect(specs(REGEXES, new Set([...files].filter((name) => !server.has(name))))).toEqual([]);
  });
});
