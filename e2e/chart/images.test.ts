/** The Dockerfiles can't be built everywhere; what they copy can be checked everywhere. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { podTemplate, render, root } from './render.ts';

interface Stage {
  readonly name: string;
  readonly lines: readonly string[];
}

function stagesOf(program: string): Stage[] {
  const text = readFileSync(join(root, program, 'Dockerfile'), 'utf8').replaceAll(/\\\n/g, ' ');
  const stages: { name: string; lines: string[] }[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('FROM ')) stages.push({ name: / AS (\S+)/.exec(line)?.[1] ?? 'final', lines: [] });
    stages.at(-1)?.lines.push(line);
  }
  return stages;
}

const copies = (stage: Stage) =>
  stage.lines
    .filter((line) => line.startsWith('COPY '))
    .map((line) => {
      const words = line.split(/\s+/).slice(1);
      const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
      return { from, sources: words.slice(0, -1), target: words.at(-1) ?? '' };
    });

/** Whether .dockerignore lets a path of the context through: the last pattern that matches it or a folder above decides. */
function inContext(path: string): boolean {
  let included = true;
  for (const line of readFileSync(join(root, '.dockerignore'), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = line.replace(/^!/, '');
    const source = pattern
      .replaceAll('.', '\\.')
      .replaceAll('**/', '(.+/)?')
      .replaceAll(/(?<!\.)\*/g, '[^/]*');
    if (new RegExp(`^${source}(/.*)?$`).test(path)) included = line.startsWith('!');
  }
  return included;
}

describe.each(['controller', 'dataplane'])('%s/Dockerfile', (program) => {
  const stages = stagesOf(program);
  const final = stages.at(-1) ?? { name: '', lines: [] };

  test('copies only what is there and in the context', () => {
    const sources = stages.flatMap(copies).filter(({ from }) => from === undefined);
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources.flatMap((copy) => copy.sources)) {
      const path = source.replace(/\/$/, '');
      expect(existsSync(join(root, path)), path).toBe(true);
      expect(inContext(path), path).toBe(true);
    }
  });

  test('the final stage takes from earlier ones what a build makes there', () => {
    for (const { from, sources } of copies(final)) {
      expect(stages.map(({ name }) => name)).toContain(from);
      for (const source of sources) {
        const path = source.replace(/^\/src\//, '');
        expect(existsSync(join(root, path)), `${path}: make build makes it`).toBe(true);
      }
    }
  });

  test('tests, other builds and secrets stay out', () => {
    for (const path of [
      'dataplane/config.test.ts',
      'dataplane/dist/main.js',
      'node_modules/zod/index.js',
      '.git/config',
      'e2e/main.ts',
    ]) {
      expect(inContext(path), path).toBe(false);
    }
    expect(inContext('dataplane/snapshot/resources.ts')).toBe(true);
  });

  test('runs as 65532, the compiled program, on the ports of the chart', async () => {
    expect(final.lines).toContain('USER 65532:65532');
    expect(final.lines.join('\n')).not.toContain('HEALTHCHECK');
    const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(final.lines.join('\n'))?.[1] ?? '[]');
    expect(entry).toEqual(['node', `/app/${program}/dist/main.js`]);
    expect(existsSync(join(root, program, 'main.ts')), `${program}/main.ts`).toBe(true);
    const exposed = /^EXPOSE (.*)$/m.exec(final.lines.join('\n'))?.[1]?.split(' ').map(Number);
    const template = podTemplate(await render({}), program);
    const ports: number[] = template.spec.containers[0].ports.map(
      (port: { containerPort: number }) => port.containerPort,
    );
    expect(exposed?.sort()).toEqual(ports.sort());
  });
});
