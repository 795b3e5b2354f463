/** What a rule does besides forwarding by weight: split, mirrors, fallback. Pure. */
import type { FallbackConfig, MirrorConfig, Split } from '@tidegate/dataplane/snapshot/shaping';
import type { RouteRule } from '../api/v1alpha1/route.ts';
import type { FallbackSpec, MirrorSpec, SplitSpec } from '../api/v1alpha1/shaping.ts';
import { perMillion } from './edits.ts';

/** Bytes of a body that are kept where nothing is said. */
const DEFAULT_BODY_BYTES = 65_536;
/** RFC 9110 section 9.2.2, without TRACE. */
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];
const STATUSES = [502, 503, 504];

export interface Shaping {
  readonly split?: Split;
  readonly mirrors?: MirrorConfig[];
  readonly fallback?: FallbackConfig;
}

/** Backends that do not serve are left out: what is missing of these takes nothing from the rule. */
export function compileShaping(
  namespace: string,
  { split, mirrors = [], fallback }: RouteRule,
  serves: (backend: string) => boolean,
): Shaping {
  const there = mirrors.filter(({ name }) => serves(name));
  const otherwise = fallback === undefined ? null : compileFallback(namespace, fallback, serves);
  return {
    ...(split === undefined ? {} : { split: compileSplit(split) }),
    ...(there.length === 0 ? {} : { mirrors: there.map((mirror) => compileMirror(namespace, mirror)) }),
    ...(otherwise === null ? {} : { fallback: otherwise }),
  };
}

function compileSplit({ header, cookie }: SplitSpec): Split {
  if (header !== undefined) return { by: 'header', name: header.toLowerCase() };
  return { by: 'cookie', name: cookie ?? '' };
}

function compileMirror(namespace: string, { name, percent, bodyBytes }: MirrorSpec): MirrorConfig {
  return {
    backend: `backend/${namespace}/${name}`,
    perMillion: perMillion(percent),
    bodyBytes: bodyBytes ?? DEFAULT_BODY_BYTES,
  };
}

/** Null where none of its backends serves. */
function compileFallback(
  namespace: string,
  { when: reasons, statuses, methods, bodyBytes, backends, respond }: FallbackSpec,
  serves: (backend: string) => boolean,
): FallbackConfig | null {
  const on = reasons ?? ['unavailable', ...(statuses === undefined ? [] : ['status' as const])];
  const when = {
    on,
    statuses: on.includes('status') ? (statuses ?? STATUSES) : [],
    methods: methods ?? IDEMPOTENT,
    bodyBytes: bodyBytes ?? DEFAULT_BODY_BYTES,
  };
  if (respond !== undefined) {
    const { status, contentType, body } = respond;
    const type = contentType ?? (body === undefined ? undefined : 'text/plain; charset=utf-8');
    return {
      ...when,
      respond: { status, ...(type === undefined ? {} : { contentType: type }), body: body ?? '' },
    };
  }
  const there = (backends ?? []).filter(({ name }) => serves(name));
  if (there.every(({ weight }) => weight === 0)) return null;
  return { ...when, backends: there.map(({ name, weight }) => ({ weight, backend: `backend/${namespace}/${name}` })) };
}
