/** What a login needs to know of a request: who waits for the answer, and where it would come back to. */
import type { Exchange } from '../../../pipeline/exchange.ts';

/** A browser that will show the answer as a page, and so can follow a redirect to a login (Fetch Metadata; Accept before that). */
export function isNavigation({ method, headers }: Exchange): boolean {
  if (method !== 'GET') return false;
  const mode = headers.get('sec-fetch-mode');
  if (mode !== undefined) return mode === 'navigate';
  return headers.get('accept')?.includes('text/html') === true;
}

/** Scheme and authority as the browser has them; null where they make no URL. */
export function originOf({ scheme, authority }: Exchange, publicOrigin: string): string | null {
  const origin = publicOrigin === '' ? `${scheme}://${authority}` : publicOrigin;
  return URL.canParse(origin) ? new URL(origin).origin : null;
}

const MAX_TARGET = 1_024;

/** Path and query of a request, to come back to. Never another host: one slash, then none. */
export function targetOf({ path, query }: Exchange): string {
  const target = query === undefined || query === '' ? path : `${path}?${query}`;
  return isOwnTarget(target) ? target : '/';
}

export function isOwnTarget(target: string): boolean {
  return target.length <= MAX_TARGET && /^\/(?![/\\])[!-[\]-~]*$/.test(target);
}
