import { describe, expect, test } from 'vitest';
import type { ObjectEvent, StoreObject } from '../store/objects.ts';
import { FileSet, type FileStep } from './file-set.ts';

const route = (name: string, status = 200, namespace = 'default') => `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  rules:
    - name: a
      respond: { status: ${status} }
`;

function update(files: FileSet, texts: Record<string, string | null>): FileStep {
  return files.update(
    new Map(Object.entries(texts).map(([file, text]) => [file, text === null ? { gone: true } : { text }])),
  );
}

/** `+ a 1`: upsert of a, generation 1; `- a`: delete. */
function events(step: FileStep): string[] {
  return step.accepted.flatMap(({ events }) => events.map(say));
}

function say(event: ObjectEvent): string {
  if (event.type === 'delete') return `- ${event.ref.name}`;
  if (event.type === 'replace') return 'replace';
  return `+ ${event.object.metadata.name} ${event.object.metadata.generation}`;
}

function refusals(step: FileStep): string[] {
  return step.refused.flatMap(({ file, problems }) =>
    problems.map(({ line, path, message }) => `${file}:${line ?? ''} ${path === '' ? '' : `${path}: `}${message}`),
  );
}

describe('what an edit changes', () => {
  test('each object by itself; generation counts its content', () => {
    const files = new FileSet();
    expect(events(update(files, { 'a.yaml': `${route('a')}---\n${route('b')}` }))).toEqual(['+ a 1', '+ b 1']);
    const edited = update(files, { 'a.yaml': `# a comment\n${route('a')}---\n${route('b', 201)}` });
    expect(events(edited)).toEqual(['+ b 2']);
    expect(edited.accepted[0]?.changed).toEqual([
      { ref: { kind: 'Route', namespace: 'default', name: 'b' }, change: 'changed' },
    ]);
    expect(events(update(files, { 'a.yaml': route('b', 201) }))).toEqual(['- a']);
    expect(events(update(files, { 'a.yaml': null }))).toEqual(['- b']);
  });

  test('an object that is removed and comes again is another one', () => {
    const files = new FileSet();
    const of = (step: FileStep) =>
      (step.accepted[0] as { events: readonly { object?: StoreObject }[] }).events[0]?.object?.metadata;
    const first = of(update(files, { 'a.yaml': route('a') }));
    update(files, { 'a.yaml': '' });
    const second = of(update(files, { 'a.yaml': route('a') }));
    expect(second?.generation).toBe(1);
    expect(second?.uid).not.toBe(first?.uid);
  });

  test('age is the place: files by path, documents in order, later ones behind; an edit keeps it', () => {
    const files = new FileSet();
    const ages = (step: FileStep) =>
      step.accepted.flatMap(({ events }) =>
        events.map((event) =>
          event.type === 'upsert'
            ? [event.object.metadata.name, Date.parse(event.object.metadata.creationTimestamp ?? '')]
            : [],
        ),
      );
    expect(ages(update(files, { 'b.yaml': route('z'), 'a.yaml': `${route('y')}---\n${route('x')}` }))).toEqual([
      ['y', 1],
      ['x', 2],
      ['z', 3],
    ]);
    expect(ages(update(files, { 'a.yaml': `${route('new')}---\n${route('y', 201)}---\n${route('x')}` }))).toEqual([
      ['new', 4],
      ['y', 1],
    ]);
  });

  test('an object that moves to another file is never gone', () => {
    const files = new FileSet();
    update(files, { 'b.yaml': `${route('a')}---\n${route('b')}` });
    expect(events(update(files, { 'a.yaml': route('a'), 'b.yaml': route('b') }))).toEqual([]);
    expect(events(update(files, { 'b.yaml': null, 'c.yaml': route('b', 201) }))).toEqual(['+ b 2']);
    expect(events(update(files, { 'a.yaml': null }))).toEqual(['- a']);
  });
});

describe('what is refused', () => {
  test('a file with a mistake, whole, and the version before it stays', () => {
    const files = new FileSet();
    update(files, { 'a.yaml': `${route('a')}---\n${route('b')}` });
    const step = update(files, { 'a.yaml': `${route('a', 201)}---\n${route('b', 42)}` });
    expect(events(step)).toEqual([]);
    expect(refusals(step)).toEqual(['a.yaml:15 spec.rules[0].respond.status: must be 200 to 599, got 42']);
    expect(events(update(files, { 'a.yaml': `${route('a', 201)}---\n${route('b')}` }))).toEqual(['+ a 2']);
  });

  test('other files are taken over all the same', () => {
    const step = update(new FileSet(), { 'a.yaml': 'kind: [', 'b.yaml': route('b') });
    expect(events(step)).toEqual(['+ b 1']);
    expect(refusals(step)[0]).toMatch(/^a\.yaml:1 not YAML: /);
  });

  test.each([
    ['a: 1\na: 2\n', /not YAML: Map keys must be unique/],
    ['just text', /must be an object with apiVersion, kind, metadata and spec/],
    [
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n',
      /kind: must be Route, Backend, Policy, got "ConfigMap"/,
    ],
    [
      'a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n',
      /not YAML: Excessive alias count/,
    ],
    ['a: !!js/function "x"\n', /not YAML: Unresolved tag/],
    [`${route('a')}---\n${route('a')}`, /is defined twice in this file, first on line 1/],
    [
      'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ndata: { key: [1] }\n',
      /data: must be a map of base64 strings/,
    ],
  ])('%j', (text, message) => {
    const step = update(new FileSet(), { 'a.yaml': text });
    expect(events(step)).toEqual([]);
    expect(refusals(step).join('\n')).toMatch(message);
  });

  test('an object of another file, until that one gives it up', () => {
    const files = new FileSet();
    update(files, { 'a.yaml': route('a') });
    const step = update(files, { 'b.yaml': `${route('b')}---\n${route('a', 201)}` });
    expect(events(step)).toEqual([]);
    expect(refusals(step)).toEqual(['b.yaml:9 Route default/a is already defined in a.yaml']);
    // Said once, and tried again whenever something changes.
    expect(update(files, { 'c.yaml': route('c') }).refused).toEqual([]);
    expect(events(update(files, { 'a.yaml': null }))).toEqual(['+ b 1', '+ a 2']);
  });

  test('what a refused file gave up is gone, even when nobody takes it', () => {
    const files = new FileSet();
    update(files, { 'a.yaml': `${route('a')}---\n${route('b')}`, 'c.yaml': route('c') });
    const step = update(files, { 'a.yaml': route('b'), 'd.yaml': `${route('a')}---\n${route('c')}` });
    expect(events(step)).toEqual(['- a']);
    expect(refusals(step)).toEqual(['d.yaml:9 Route default/c is already defined in c.yaml']);
  });

  test('the value of a Secret is in no message', () => {
    const step = update(new FileSet(), {
      'a.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { key: [hunter2] }\n',
    });
    expect(step.refused).toHaveLength(1);
    expect(JSON.stringify(step.refused)).not.toContain('hunter2');
  });
});

test('a Secret in plain text is kept as the API server would send it', () => {
  const step = update(new FileSet(), {
    'a.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ntype: Opaque\nstringData: { key: text }\n',
  });
  expect(step.accepted[0]?.events[0]).toMatchObject({
    object: { kind: 'Secret', type: 'Opaque', data: { key: 'dGV4dA==' } },
  });
});
