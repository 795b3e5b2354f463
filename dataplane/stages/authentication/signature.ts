/**
 * HTTP message signatures (RFC 9421). Of several, the first whose key is known here counts. In order: what it covers, its age, the signature
 * itself, then the body, then the nonce: only who holds a key makes the gateway read a body or remember anything.
 */
import { bufferBody } from '../../pipeline/buffered-body.ts';
import { type Exchange, NO_BODY } from '../../pipeline/exchange.ts';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import { problem } from '../../pipeline/respond.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { ABSENT, EXPLAINED, type Finding, type Method, type Vouched } from './method.ts';
import { signatureBase } from './signature/base.ts';
import { digestHolds } from './signature/digest.ts';
import { readSignatures, type SignatureInput } from './signature/fields.ts';
import { createNonces } from './signature/nonces.ts';
import { createVerify, type Verify } from './signature/verify.ts';

type Config = MethodConfig<'signature'>;

interface Key {
  readonly algorithm: string;
  readonly verify: Verify;
  readonly vouched: Vouched;
}

export function create(config: Config, context: StageContext, field: string): Method {
  const keys = readKeys(config, context, field);
  const remember = config.nonce === 'ignored' ? null : createNonces(config, context, field);
  const { components: required, maxAgeMs, skewMs, maxBodyBytes } = config;

  function find(exchange: Exchange): Finding | Promise<Finding> {
    const { headers } = exchange;
    const inputs = headers.getCombined('signature-input');
    const values = headers.getCombined('signature');
    if (inputs === undefined && values === undefined) return ABSENT;
    const found = readSignatures(inputs ?? '', values ?? '');
    if (found === null || found.length === 0) return refused('signature-malformed');
    const input = found.find(({ keyId, tag }) => keys.has(keyId) && (config.tag === undefined || tag === config.tag));
    if (input === undefined) return refused('signature-key-unknown');
    const key = keys.get(input.keyId) as Key;
    const fault = examine(exchange, input, key);
    if (fault !== null) return fault;
    return coversBody(exchange, input) ? checkBody(exchange, input, key) : checkNonce(exchange, input, key);
  }

  function examine(exchange: Exchange, input: SignatureInput, key: Key): Finding | null {
    if (input.algorithm !== undefined && input.algorithm !== key.algorithm) return refused('signature-algorithm');
    for (const name of required) if (!covers(input, name)) return refused('signature-components');
    if (maxBodyBytes > 0 && hasBody(exchange) && !covers(input, 'content-digest'))
      return refused('signature-components');
    const { created, expires } = input;
    const now = context.epochMs();
    if (created === undefined) return refused('signature-age');
    if (created * 1000 > now + skewMs || created * 1000 < now - maxAgeMs - skewMs) return refused('signature-age');
    if (expires !== undefined && expires * 1000 < now - skewMs) return refused('signature-age');
    if (config.nonce === 'required' && input.nonce === undefined) return refused('signature-nonce');
    const base = signatureBase(exchange, input);
    if (base === null) return refused('signature-components');
    return key.verify(base, input.signature) ? null : refused('signature-invalid');
  }

  function coversBody(exchange: Exchange, input: SignatureInput): boolean {
    return maxBodyBytes > 0 && (hasBody(exchange) || covers(input, 'content-digest'));
  }

  async function checkBody(exchange: Exchange, input: SignatureInput, key: Key): Promise<Finding> {
    const digest = exchange.headers.getCombined('content-digest') ?? '';
    const read = await bufferBody(exchange, maxBodyBytes);
    if (read.kind === 'body')
      return digestHolds(digest, read.bytes) ? checkNonce(exchange, input, key) : refused('content-digest');
    const [status, code, detail] =
      read.kind === 'too-large'
        ? ([413, 'signed-body-too-large', 'The body is longer than this route takes of a signed request.'] as const)
        : read.reason === 'body-timeout'
          ? ([408, 'body-timeout', 'The request body did not arrive in time.'] as const)
          : read.reason === 'body-too-large'
            ? ([413, 'body-too-large', 'The request body is too large.'] as const)
            : ([400, 'bad-request', 'The request body is malformed.'] as const);
    return { kind: 'answer', answer: problem(status, code, detail, exchange.requestId) };
  }

  function checkNonce(exchange: Exchange, input: SignatureInput, key: Key): Finding | Promise<Finding> {
    const { nonce, keyId, created = 0 } = input;
    if (remember === null || nonce === undefined || exchange.locals?.has(EXPLAINED) === true) return key.vouched;
    const verdict = remember(keyId, nonce, created * 1000 + maxAgeMs + skewMs + 1000);
    if (verdict instanceof Promise) return verdict.then((late) => judge(late, key));
    return judge(verdict, key);
  }

  return {
    name: config.name,
    // No scheme is registered for RFC 9421; a 401 has to name one (RFC 9110 section 15.5.2).
    challenge: 'Signature realm="tidegate"',
    writes: [],
    strip: config.keepCredential ? null : strip,
    find,
  };
}

function judge(verdict: 'new' | 'seen' | 'full' | 'gone', key: Key): Finding {
  switch (verdict) {
    case 'new':
      return key.vouched;
    case 'seen':
      return refused('signature-replayed');
    case 'full':
      return UNAVAILABLE.full;
    case 'gone':
      return UNAVAILABLE.gone;
  }
}

const unavailable = (code: string): Finding => ({
  kind: 'unavailable',
  code,
  detail: 'Whether this signature was used before can not be told at the moment.',
});
const UNAVAILABLE = { full: unavailable('signature-nonces-full'), gone: unavailable('signature-store-unavailable') };

const DETAILS = {
  'signature-malformed': 'The fields Signature-Input and Signature can not be read.',
  'signature-key-unknown': 'No signature of this request is by a key that is known here.',
  'signature-algorithm': 'The signature names another algorithm than its key has.',
  'signature-components':
    'The signature does not cover all that this route asks for, or covers what can not be checked.',
  'signature-age': 'The signature is too old, from the future, or does not say when it was made.',
  'signature-nonce': 'The signature has no nonce.',
  'signature-invalid': 'The signature does not match the request.',
  'signature-replayed': 'The signature was used before.',
  'content-digest': 'The body does not match its Content-Digest.',
} as const;

const refusals = new Map<string, Finding>(
  Object.entries(DETAILS).map(([code, detail]) => [code, { kind: 'refused', status: 401, code, detail }]),
);

function refused(code: keyof typeof DETAILS): Finding {
  return refusals.get(code) as Finding;
}

function hasBody({ downstream: { requestLength } }: Exchange): boolean {
  return requestLength !== NO_BODY && requestLength !== 0;
}

function covers({ components }: SignatureInput, name: string): boolean {
  return components.some((component) => component.name === name && component.parameters.size === 0);
}

function strip({ headers }: Exchange): void {
  headers.remove('signature');
  headers.remove('signature-input');
}

function readKeys(config: Config, context: StageContext, field: string): ReadonlyMap<string, Key> {
  const keys = new Map<string, Key>();
  for (const [index, id] of config.credentials.entries()) {
    const at = `${field}.credentials[${index}]`;
    const resource = context.credentials(id);
    if (resource === undefined) throw new StageError(at, `there is no ${id}, or it was rejected`);
    if (resource.entries.type !== 'signature') throw new StageError(at, `${id} holds no keys for signatures`);
    for (const { keyId, algorithm, key, consumer, groups } of resource.entries.keys) {
      if (keys.has(keyId)) throw new StageError(at, `${id} has a second key called ${keyId}`);
      const identity = { consumer, groups, scopes: [], claims: NO_CLAIMS, method: config.name };
      keys.set(keyId, {
        algorithm,
        verify: verifyOf(algorithm, key, keyId, at),
        vouched: { kind: 'vouched', identity, fields: [] },
      });
    }
  }
  return keys;
}

function verifyOf(algorithm: Parameters<typeof createVerify>[0], key: string, keyId: string, at: string): Verify {
  try {
    return createVerify(algorithm, key);
  } catch (error) {
    throw new StageError(at, `the key ${keyId} can not be used: ${(error as Error).message}`);
  }
}
