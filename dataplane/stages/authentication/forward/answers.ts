/** What an authorizer's answer means: who calls, or what the client is told. */
import type { OutboundResponse } from '../../../outbound/message.ts';
import type { Answer } from '../../../pipeline/exchange.ts';
import { Headers } from '../../../pipeline/headers.ts';
import { NO_CLAIMS } from '../../../pipeline/identity.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { Vouched } from '../method.ts';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 429]);

/** Fields that say something to the client; others belong to the authorizer's connection, or to us. */
const PASSED = [
  'content-type',
  'content-language',
  'content-encoding',
  'location',
  'www-authenticate',
  'set-cookie',
  'retry-after',
  'cache-control',
  'expires',
  'pragma',
  'vary',
];

export function vouches({ status }: OutboundResponse): boolean {
  return status >= 200 && status < 300;
}

export function readVouched(config: MethodConfig<'forward'>, { headers }: OutboundResponse): Vouched {
  const consumer = textOf(headers[config.consumerHeader]).trim();
  const groups = textOf(headers[config.groupsHeader])
    .split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '');
  const fields = config.copyHeaders.flatMap((name) => listOf(headers[name]).flatMap((value) => [name, clean(value)]));
  const identity = {
    consumer: consumer === '' ? config.name : consumer,
    groups,
    scopes: [],
    claims: NO_CLAIMS,
    method: config.name,
  };
  return { kind: 'vouched', identity, fields };
}

/** The authorizer's own answer for the client; null where it is none that a client should see. */
export function readRefusal({ status, headers, body }: OutboundResponse): Answer | null {
  const redirects = REDIRECTS.has(status) && headers.location !== undefined;
  if (!redirects && !REFUSALS.has(status)) return null;
  const fields = PASSED.flatMap((name) => listOf(headers[name]).flatMap((value) => [name, clean(value)]));
  // Made for one caller, whatever it says of itself: no cache may keep it.
  if (headers['cache-control'] === undefined) fields.push('cache-control', 'no-store');
  const code = redirects ? 'forward-auth-redirect' : 'forward-auth-refused';
  return { status, code, headers: new Headers(fields), body: body.length === 0 ? null : body };
}

function listOf(value: string | string[] | undefined): readonly string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

function textOf(value: string | string[] | undefined): string {
  return listOf(value).join(',');
}

/** What can't stand in a field is written as `?`. */
function clean(value: string): string {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? value : value.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '?');
}
