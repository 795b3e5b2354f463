/**
 * Our reading of a connection's bytes against llhttp's. Where both see a message they must see the same: that is what smuggling needs to be
 * otherwise. Where one refuses what the other takes, the reason must be on a list, and argued.
 */
import { allowedTrailers } from '../codec/chunked.ts';
import { withoutNamed } from '../codec/framing.ts';
import { normalisePath } from '../codec/path.ts';
import type { Message, Reading } from './reading.ts';

interface Argued {
  readonly why: string;
  /** Where the argument holds; left out: everywhere. */
  readonly holds?: (bytes: string, theirs: Reading) => boolean;
}

/** What we refuse and llhttp takes, by our code. Stricter is safe: it is here so that a refusal without a reason is found. */
export const STRICTER: Readonly<Record<string, Argued>> = {
  'bad-line-end': {
    why: 'llhttp takes a bare LF for a line end in places; RFC 9112 section 2.2 lets a recipient refuse it',
  },
  'bad-host': {
    why: 'RFC 9112 section 3.2 wants 400 for a missing, second or invalid Host; an absolute target that names another is ambiguous',
  },
  'bad-target': {
    why: 'llhttp takes fragments, backslashes, relative and other targets for URLs; RFC 9112 section 3.2 has four forms',
  },
  'bad-path': { why: 'what a path means is not the business of llhttp' },
  'bad-request-line': {
    why: 'llhttp skips any number of empty lines before a request line, we one; and a method may have 32 characters',
  },
  'unsupported-version': { why: 'llhttp also reads the heads of HTTP/0.9 and 2.0' },
  'connect-refused': { why: 'CONNECT is not offered' },
  'bad-expect': { why: 'llhttp leaves expectations to its user; RFC 9110 section 10.1.1 has one' },
  'bad-framing': {
    why: 'llhttp takes codings before chunked (RFC 9112 section 6.1: refused where not understood), Transfer-Encoding in HTTP/1.0 (section 6.1: faulty), any coding in responses (then until the close), lengths beyond 15 digits, tabs around what frames, and reads bodies that some interim responses announce',
    holds: (bytes) =>
      /transfer-encoding|content-length:[ \t]*\d{16,}|content-length:[^\r\n]*\t|HTTP\/1\.[01] 1\d\d/i.test(bytes),
  },
  closed: {
    why: 'behind a 204 that announces a body we close: it may follow',
    holds: (bytes) => /HTTP\/1\.[01] 204/.test(bytes),
  },
  'unasked-switch': { why: 'nobody asked for an upgrade: 502' },
  'bad-header': {
    why: 'llhttp takes control characters in field values but for NUL, CR and LF',
    holds: (bytes) => /[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(bytes),
  },
  'bad-chunk': {
    why: 'llhttp allows any number of leading zeros in a chunk size, bare LF in trailers, control characters in extensions and trailers',
  },
  'bad-status-line': {
    why: 'llhttp takes HTTP/0.9 and 2.0 status lines, any three digits, a reason with control characters',
  },
  'headers-too-large': { why: 'llhttp leaves limits to its user' },
  'uri-too-long': { why: 'llhttp leaves limits to its user' },
};

/** llhttp reads trailers as header fields, their framing included; we never act on a trailer, and drop those that RFC 9110 section 6.5.1 forbids. */
const IN_TRAILERS: Argued = {
  why: 'a framing field among trailers changes nothing: it is dropped',
  holds: (bytes) =>
    /\r\n0+(?:[ \t;][^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*?(?:content-length|transfer-encoding|connection|proxy-connection)[ \t]*:/i.test(
      bytes,
    ),
};

/** What llhttp refuses and we take, by its code. Wider needs an argument why it is safe. */
export const WIDER: Readonly<Record<string, Argued>> = {
  HPE_INVALID_METHOD: {
    why: 'llhttp knows a fixed list of methods; RFC 9110 section 9.1 leaves it open, and a method does not change the framing of a request',
  },
  HPE_INVALID_CHUNK_SIZE: {
    why: 'RFC 9112 section 7.1.1 has white space before a chunk extension; it is read over and never sent on',
    holds: (bytes) => /[0-9a-f][ \t]+;/i.test(bytes),
  },
  HPE_STRICT: {
    why: 'the same for white space within a chunk extension',
    holds: (bytes) => /;[^\r\n]*[ \t]/.test(bytes),
  },
  HPE_INVALID_CONTENT_LENGTH: IN_TRAILERS,
  HPE_UNEXPECTED_CONTENT_LENGTH: IN_TRAILERS,
  HPE_INVALID_TRANSFER_ENCODING: IN_TRAILERS,
  HPE_CLOSED_CONNECTION: {
    why: 'llhttp takes Connection: close of an interim response, or of trailers, for the end; RFC 9110 section 15.2: a final one follows',
    holds: (bytes, theirs) =>
      theirs.messages.some(({ status }) => status >= 100 && status < 200) ||
      IN_TRAILERS.holds?.(bytes, theirs) === true,
  },
  closed: IN_TRAILERS,
};

export interface Difference {
  readonly what: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

/** Hop-by-hop in responses: our parser keeps them to itself. */
const HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'upgrade',
  'content-length',
  'transfer-encoding',
]);

/** Null: none, or an argued one. */
export function differenceOf(bytes: string, ours: Reading, theirs: Reading): Difference | null {
  const common = Math.min(ours.messages.length, theirs.messages.length);
  for (let i = 0; i < common; i++) {
    const a = ours.messages[i] as Message;
    const b = theirs.messages[i] as Message;
    const difference = messageDifference(a, b);
    if (difference !== null) return { ...difference, what: `message ${i}: ${difference.what}` };
    // Both may be in the middle of it; a body that one has read further than the other is the same body as far as it goes.
    const shorter = a.body.length < b.body.length ? a.body : b.body;
    if (!a.body.startsWith(shorter) || !b.body.startsWith(shorter)) return told(`body of message ${i}`, a.body, b.body);
    if (a.complete && b.complete) {
      if (a.body !== b.body) return told(`body of message ${i}`, a.body, b.body);
      const trailers = allowedTrailers(b.trailers) ?? [];
      if (JSON.stringify(a.trailers) !== JSON.stringify(trailers))
        return told(`trailers of message ${i}`, a.trailers, trailers);
    } else if (a.complete !== b.complete) return verdict(bytes, ours, theirs, b.complete);
  }
  // One may refuse at once what the other still waits for the rest of: it has taken nothing.
  if (ours.messages.length === theirs.messages.length) return null;
  return verdict(bytes, ours, theirs, ours.messages.length < theirs.messages.length);
}

function told(what: string, ours: unknown, theirs: unknown): Difference {
  return { what, ours, theirs };
}

/** `stricter`: we stopped where they went on. */
function verdict(bytes: string, ours: Reading, theirs: Reading, stricter: boolean): Difference | null {
  const stopped = stricter ? ours : theirs;
  const code = stopped.refused ?? (stopped.closed ? 'closed' : null);
  const argued = code === null ? undefined : (stricter ? STRICTER : WIDER)[code];
  if (argued !== undefined && (argued.holds === undefined || argued.holds(bytes, theirs))) return null;
  return told(stricter ? `we stopped with ${code}` : `llhttp stopped with ${code}`, summary(ours), summary(theirs));
}

function summary({ messages, refused, closed }: Reading): unknown {
  return { messages: messages.map(({ complete, body }) => ({ complete, body })), refused, closed };
}

function messageDifference(a: Message, b: Message): Difference | null {
  if (a.method !== b.method) return told('method', a.method, b.method);
  if (a.status !== b.status) return told('status', a.status, b.status);
  if (a.minor !== b.minor) return told('version', a.minor, b.minor);
  if (a.status === 0 && a.target !== readTarget(b.target)) return told('target', a.target, readTarget(b.target));
  const expected = endToEnd(b);
  if (JSON.stringify(a.fields) !== JSON.stringify(expected)) return told('fields', a.fields, expected);
  return null;
}

function endToEnd({ fields, status }: Message): readonly string[] {
  let kept = [...fields];
  const named = kept.filter((_, i) => i % 2 === 1 && kept[i - 1] === 'connection').join(',');
  kept = withoutNamed(kept, named);
  return status === 0 ? kept : kept.filter((_, i) => !HOP.has(kept[i & ~1] as string));
}

/** A target in the form in which we pass it on. */
export function readTarget(target: string): string {
  const mark = target.indexOf('?');
  let path = mark < 0 ? target : target.slice(0, mark);
  if (path === '*') return target;
  if (!path.startsWith('/')) path = path.replace(/^https?:\/\/[^/]*/i, '') || '/';
  return normalisePath(path, true) + (mark < 0 ? '' : target.slice(mark));
}
