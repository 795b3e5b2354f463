/**
 * The paths of one host: exact paths in a map, prefixes in a trie by segment, regular expressions in a list. Tried in that
 * order, longest prefix first; where a candidate's predicates do not hold the next one is tried, then the next shorter path.
 */
import { type Candidate, compareCandidates, firstHolding, holds, type Match } from './candidate.ts';
import type { Edit } from './edit.ts';
import type { RequestView } from './predicates.ts';

export interface Bucket<T> {
  exact: Map<string, Candidate<T>[]>;
  root: Node<T>;
  regex: Candidate<T>[];
}

/** A prefix ends at a node with candidates. Children are keyed by path segment. */
interface Node<T> {
  children: Map<string, Node<T>>;
  /** The child where there is just one, and its segment: compared in place, with no string made for a look-up. */
  only: Node<T> | null;
  onlySegment: string;
  candidates: Candidate<T>[];
}

const SLASH = 0x2f;

// Shared by all that have none; never an edit's own, so never written to.
const NO_ENTRIES = new Map<string, never>();
const NO_CANDIDATES: never[] = [];

export function matchPath<T>(bucket: Bucket<T>, request: RequestView): Match<T> | null {
  const path = request.path;
  if (bucket.exact.size !== 0) {
    const candidates = bucket.exact.get(path);
    if (candidates !== undefined) {
      const match = firstHolding(candidates, request);
      if (match !== null) return match;
    }
  }
  const match = matchPrefix(bucket.root, request, path, 1);
  if (match !== null || bucket.regex.length === 0) return match;
  for (const candidate of bucket.regex) {
    if (candidate.path.regex?.test(path) && holds(candidate, request)) return candidate;
  }
  return null;
}

/** `start` is behind the slash that opens the next segment; beyond the end of the path when there is none. */
function matchPrefix<T>(node: Node<T>, request: RequestView, path: string, start: number): Match<T> | null {
  if (start <= path.length) {
    let child: Node<T> | undefined;
    let end: number;
    if (node.only !== null) {
      end = start + node.onlySegment.length;
      const whole = end === path.length || path.charCodeAt(end) === SLASH;
      if (whole && path.startsWith(node.onlySegment, start)) child = node.only;
    } else {
      const slash = path.indexOf('/', start);
      end = slash < 0 ? path.length : slash;
      if (node.children.size !== 0) child = node.children.get(path.slice(start, end));
    }
    if (child !== undefined) {
      const match = matchPrefix(child, request, path, end + 1);
      if (match !== null) return match;
    }
  }
  return node.candidates.length === 0 ? null : firstHolding(node.candidates, request);
}

/** One step from a bucket to the next: `gone` leave the lists that are touched; `settle` ends it. */
export interface PathEdit<T> {
  readonly edit: Edit;
  readonly gone: ReadonlySet<Candidate<T>>;
  readonly unsorted: Set<Candidate<T>[]>;
  /** Nodes whose children may have changed. */
  readonly parents: Set<Node<T>>;
}

export function emptyBucket<T>(edit: Edit): Bucket<T> {
  return edit.make({ exact: NO_ENTRIES, root: emptyNode(edit), regex: NO_CANDIDATES });
}

export function isEmptyBucket<T>(bucket: Bucket<T>): boolean {
  return bucket.exact.size === 0 && bucket.regex.length === 0 && isEmptyNode(bucket.root);
}

/** The bucket must be the edit's own. */
export function addCandidate<T>(bucket: Bucket<T>, candidate: Candidate<T>, step: PathEdit<T>): void {
  const { edit } = step;
  const { kind, value } = candidate.path;
  if (kind === 'regex') {
    bucket.regex = append(bucket.regex, candidate, step);
  } else if (kind === 'exact') {
    bucket.exact = edit.own(bucket.exact, copyMap);
    bucket.exact.set(value, append(bucket.exact.get(value), candidate, step));
  } else {
    bucket.root = edit.own(bucket.root, copyNode);
    let node = bucket.root;
    for (const segment of segmentsOf(value)) {
      step.parents.add(node);
      node.children = edit.own(node.children, copyMap);
      const child = node.children.get(segment);
      const next = child === undefined ? emptyNode<T>(edit) : edit.own(child, copyNode);
      node.children.set(segment, next);
      node = next;
    }
    node.candidates = append(node.candidates, candidate, step);
  }
}

/** Takes the step's `gone` off the place of one of them, and the place away when nothing is left. The bucket must be the edit's own. */
export function removeCandidate<T>(bucket: Bucket<T>, candidate: Candidate<T>, step: PathEdit<T>): void {
  const { kind, value } = candidate.path;
  if (kind === 'regex') {
    bucket.regex = without(bucket.regex, step);
  } else if (kind === 'exact') {
    const list = without(bucket.exact.get(value), step);
    bucket.exact = step.edit.own(bucket.exact, copyMap);
    if (list.length === 0) bucket.exact.delete(value);
    else bucket.exact.set(value, list);
  } else {
    bucket.root = removeFromNode(bucket.root, segmentsOf(value), 0, step);
  }
}

export function copyBucket<T>(bucket: Bucket<T>): Bucket<T> {
  return { ...bucket };
}

export function copyMap<K, V>(map: Map<K, V>): Map<K, V> {
  return new Map(map);
}

function removeFromNode<T>(node: Node<T>, segments: readonly string[], depth: number, step: PathEdit<T>): Node<T> {
  const next = step.edit.own(node, copyNode);
  const segment = segments[depth];
  if (segment === undefined) {
    next.candidates = without(next.candidates, step);
    return next;
  }
  const child = next.children.get(segment);
  if (child === undefined) return next;
  const kept = removeFromNode(child, segments, depth + 1, step);
  next.children = step.edit.own(next.children, copyMap);
  step.parents.add(next);
  if (isEmptyNode(kept)) next.children.delete(segment);
  else next.children.set(segment, kept);
  return next;
}

function append<T>(list: Candidate<T>[] | undefined, candidate: Candidate<T>, step: PathEdit<T>): Candidate<T>[] {
  const own = without(list, step);
  own.push(candidate);
  step.unsorted.add(own);
  return own;
}

/** The list as the edit's own; what is gone leaves it while it is cloned. */
function without<T>(list: Candidate<T>[] | undefined, step: PathEdit<T>): Candidate<T>[] {
  if (list === undefined) return step.edit.make([]);
  return step.edit.own(list, (old) => old.filter((candidate) => !step.gone.has(candidate)));
}

/** Once, at the end of a step: puts in order what was added to. */
export function settle<T>(step: PathEdit<T>): void {
  for (const list of step.unsorted) list.sort(compareCandidates);
  for (const node of step.parents) {
    const [first] = node.children.size === 1 ? node.children : [];
    node.only = first?.[1] ?? null;
    node.onlySegment = first?.[0] ?? '';
  }
}

function segmentsOf(prefix: string): string[] {
  return prefix === '' ? [] : prefix.slice(1).split('/');
}

function emptyNode<T>(edit: Edit): Node<T> {
  return edit.make({ children: NO_ENTRIES, only: null, onlySegment: '', candidates: NO_CANDIDATES });
}

function copyNode<T>(node: Node<T>): Node<T> {
  return { ...node };
}

function isEmptyNode<T>(node: Node<T>): boolean {
  return node.candidates.length === 0 && node.children.size === 0;
}
