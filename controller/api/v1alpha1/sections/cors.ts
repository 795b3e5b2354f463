/** Cross-origin requests of browsers. */
import { originProblem } from '@tidegate/dataplane/snapshot/origin';
import { z } from 'zod';
import { withRules } from '../../rule.ts';
import { duration, headerName } from '../common.ts';

const origin = withRules(
  z.string().min(1).max(253),
  {
    cel: `self == '*' || self.matches(r'^[a-z][a-z0-9+.-]*://(\\*\\.)?[^/?#*\\s]+$')`,
    message: 'must be * or an origin such as https://shop.example.com or https://*.example.com, without path',
    last: true,
    test: (value) =>
      value === '*' ||
      /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^/?#*\s]+$/.test(value) ||
      `must be * or an origin such as https://shop.example.com or https://*.example.com, got ${JSON.stringify(value)}`,
  },
  {
    message: 'must be written as browsers send it',
    test: (value) => {
      const problem = originProblem(value);
      return problem === null || `${problem}, got ${JSON.stringify(value)}`;
    },
  },
);

const corsMethod = withRules(z.string().min(1).max(20), {
  cel: `self == '*' || self.matches('^[A-Z][A-Z-]*$')`,
  message: 'must be * or a method in upper case such as GET',
  test: (value) => value === '*' || /^[A-Z][A-Z-]*$/.test(value),
});

export const cors = withRules(
  z.strictObject({
    allowOrigins: z
      .array(origin)
      .min(1)
      .max(64)
      .describe('Origins that may read the answers: exact, https://*.example.com, or * for all.'),
    allowMethods: z
      .array(corsMethod)
      .max(16)
      .optional()
      .describe('Methods a preflight allows, or *. Absent: GET, HEAD, POST.'),
    allowHeaders: z
      .array(headerName)
      .max(64)
      .optional()
      .describe('Request headers a preflight allows, or *. Absent: none beyond the safe ones.'),
    exposeHeaders: z.array(headerName).max(64).optional().describe('Response headers a page may read.'),
    allowCredentials: z.boolean().default(false).describe('Whether cookies and authorization may go along.'),
    allowPrivateNetwork: z
      .boolean()
      .default(false)
      .describe('Whether pages of public sites may reach this route at a private address (Private Network Access).'),
    maxAge: duration('How long a browser may remember a preflight. Default 5s.').optional(),
  }),
  {
    cel: "!self.allowCredentials || !self.allowOrigins.exists(o, o == '*')",
    message: 'allowCredentials needs named origins: * would let every site act for a signed-in user',
    test: (value) => !value.allowCredentials || !value.allowOrigins.includes('*'),
  },
).meta({ description: 'Cross-origin requests of browsers. Preflights are answered by the gateway.' });
