/** Servers the data plane asks: where keys, tokens and logins come from. */
import { z } from 'zod';
import { type Rule, withRules } from '../rule.ts';
import { show } from './common.ts';

const FORM = '^https?://[^/?#@\\s]+(/[^#\\s]*)?$';
const MESSAGE = 'must be a URL such as https://login.example.com/keys, without user name and fragment';

export const serverUrl = (text: string) =>
  withRules(z.string().min(1).max(2048), {
    cel: `self.matches(r'${FORM}') && isURL(self)`,
    message: MESSAGE,
    test: (value) => (new RegExp(FORM).test(value) && URL.canParse(value)) || `${MESSAGE}, got ${show(value)}`,
  }).meta({ description: text });

export const insecure = z
  .boolean()
  .default(false)
  .describe('Whether the URL may be http: whoever is between can then let anybody in. For servers of the same pod.');

/** https, unless `insecure` says otherwise. */
export function secureUnlessTold<K extends string>(
  name: K,
): Rule<{ readonly [P in K]?: string | undefined } & { readonly insecure: boolean }> {
  return {
    cel: `!has(self.${name}) || !self.${name}.startsWith('http:') || self.insecure`,
    message: `${name} must be https, or insecure must be true`,
    test: (value) => value[name]?.startsWith('http:') !== true || value.insecure,
  };
}
