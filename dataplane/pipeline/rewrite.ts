/** What a path becomes: Gateway API HTTPPathModifier, for redirects and for requests on their way to a backend. */
import type { PathRewrite } from '../snapshot/resources.ts';

/**
 * `matchedPrefix` is Exchange.matchedPrefix: without trailing slash, empty for `/` and for a regular expression (then a prefix
 * rewrite puts its value in front of the whole path). The answer always starts with `/`.
 */
export function rewritePath(rewrite: PathRewrite, path: string, matchedPrefix: string): string {
  const value = rewrite.value.startsWith('/') ? rewrite.value : `/${rewrite.value}`;
  if (rewrite.kind === 'full') return value;
  const rest = path.slice(matchedPrefix.length);
  if (rest === '') return value;
  return (value.endsWith('/') ? value.slice(0, -1) : value) + rest;
}
