/**
 * The one place where the gateway's own answers are made: problem documents (RFC 9457), redirects, direct answers. What they
 * say is for the client: a stable code, one sentence without internals, and the request id to ask about.
 */
import { REASONS } from '../codec/reasons.ts';
import type { Answer } from './exchange.ts';
import { Headers } from './headers.ts';

/** `status` 400 to 599; `code` is a stable kebab-case word; `fields` are more header fields: name, value, … */
export function problem(
  status: number,
  code: string,
  detail: string,
  requestId: string,
  fields: readonly string[] = [],
): Answer {
  const title = REASONS[status] ?? 'Error';
  return {
    status,
    code,
    // A cache may keep a 404 or a 410 without being asked to (RFC 9110 section 15.1); an error of ours is over when the configuration is mended.
    headers: new Headers(['content-type', 'application/problem+json', 'cache-control', 'no-store', ...fields]),
    body: JSON.stringify({ type: 'about:blank', title, status, code, detail, requestId }),
  };
}

/** The sentence of a problem document; empty for any other answer. */
export function detailOf({ code, body }: Answer): string {
  if (code === '' || typeof body !== 'string') return '';
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown };
    return typeof detail === 'string' ? detail : '';
  } catch {
    return '';
  }
}

/** `location` must hold no control characters. */
export function redirect(status: 301 | 302 | 303 | 307 | 308, location: string): Answer {
  return { status, code: '', headers: new Headers(['location', location]), body: null };
}

/** A direct answer; `body` is shared between exchanges and never written to. */
export function direct(status: number, contentType: string | undefined, body: Uint8Array): Answer {
  const fields = contentType === undefined || body.byteLength === 0 ? [] : ['content-type', contentType];
  return { status, code: '', headers: new Headers(fields), body };
}
