/** What Routes and Policies ask of a request alike: its path and its method. */
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../rule.ts';
import { regex } from './common.ts';

export const pathText = (text: string) =>
  withRules(z.string().min(1).max(1024), {
    cel: `self.matches(r'^/[!-"$->@-~]*$')`,
    message: 'must begin with / and hold no space, ? or #',
    test: (value) =>
      /^\/[!-"$->@-~]*$/.test(value) || `must begin with / and hold no space, ? or #, got ${JSON.stringify(value)}`,
  }).meta({ description: text });

export const pathMatch = withRules(
  z.strictObject({
    exact: pathText('The whole path, case-sensitive.').optional(),
    prefix: pathText('The path or any path below it: /a matches /a and /a/b, not /ab.').optional(),
    regex: regex('A regular expression (RE2 syntax) that matches the whole path.', 1024).optional(),
  }),
  exactlyOneOf('exact', 'prefix', 'regex'),
).meta({
  description: 'The path of the request, without query. Exactly one of exact, prefix, regex. Absent: every path.',
});

export const method = withRules(z.string().min(1).max(20), {
  cel: `self.matches('^[A-Z][A-Z-]*$')`,
  message: 'must be a method in upper case such as GET',
  test: (value) =>
    /^[A-Z][A-Z-]*$/.test(value) || `must be a method in upper case such as GET, got ${JSON.stringify(value)}`,
});
