import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BodyDownstream } from '../../pipeline/body-downstream.fixture.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { credentialsResource } from '../../snapshot/credentials.ts';
import { signatureMethod } from '../../snapshot/sections/authentication/signature.ts';
import { type ContextParts, contextFixture } from '../context.fixture.ts';
import { StageError } from '../stage-error.ts';
import type { Finding } from './method.ts';
import { readSignatures } from './signature/fields.ts';
import {
  RFC_BODY,
  RFC_CREATED_MS,
  RFC_KEYS,
  RFC_REQUEST,
  RFC_RESPONSE,
  RFC_SIGNATURES,
} from './signature/rfc9421.fixture.ts';
import { createVerify } from './signature/verify.ts';
import { create } from './signature.ts';
import { compose } from './stage.ts';

const ID = 'credentials/a/b/c/signature';

function method(more: object = {}, keys: readonly object[] = RFC_KEYS, parts: ContextParts = {}) {
  const config = signatureMethod.parse({
    kind: 'signature',
    name: 'signed',
    credentials: [ID],
    components: [],
    maxBodyBytes: 0,
    maxAgeMs: 300_000,
    skewMs: 10_000,
    nonce: 'checked',
    nonceStore: 'memory',
    ...more,
  });
  const entries = { type: 'signature', keys: keys.map((key) => ({ consumer: 'acme', groups: ['gold'], ...key })) };
  const consumers = [credentialsResource.parse({ kind: 'credentials', id: ID, source: 'a/c', entries })];
  return create(config, contextFixture({ epochMs: () => RFC_CREATED_MS + 1000, ...parts, consumers }), 'methods[0]');
}

function rfcRequest([input, signature]: readonly [string, string], body: string | null = null) {
  const { line, authority, fields } = RFC_REQUEST;
  return memoryExchange(line, {
    authority,
    fields: [...fields, 'signature-input', input, 'signature', signature],
    ...(body !== null && { downstream: new BodyDownstream([body], { length: body.length }) }),
  });
}

const summary = (finding: Finding) => {
  if (finding.kind === 'vouched') return finding.identity.consumer;
  if (finding.kind === 'answer') return `${finding.answer.status} ${finding.answer.code}`;
  return 'code' in finding ? finding.code : finding.kind;
};

describe('RFC 9421, appendix B.2', () => {
  test.each(Object.entries(RFC_SIGNATURES))('%s', async (_name, fields) => {
    expect(summary(await method().find(rfcRequest(fields)))).toBe('acme');
    const checked = { maxBodyBytes: 100 };
    const covered = fields[0].includes('content-digest');
    const found = summary(await method(checked).find(rfcRequest(fields, RFC_BODY)));
    expect(found).toBe(covered ? 'acme' : 'signature-components');
    if (covered) {
      const changed = rfcRequest(fields, RFC_BODY.replace('world', 'earth'));
      expect(summary(await method(checked).find(changed))).toBe('content-digest');
    }
    const other = rfcRequest(fields);
    other.headers.set('date', 'Tue, 20 Apr 2021 02:07:56 GMT');
    const coversDate = fields[0].includes('"date"');
    expect(summary(await method().find(other))).toBe(coversDate ? 'signature-invalid' : 'acme');
  });

  test('B.2.4 ecdsa-p256-sha256', () => {
    const { key } = RFC_KEYS[1] as (typeof RFC_KEYS)[number];
    const verify = createVerify('ecdsa-p256-sha256', key);
    const signature = Buffer.from(RFC_RESPONSE.signature, 'base64');
    expect(verify(RFC_RESPONSE.base, signature)).toBe(true);
    expect(verify(RFC_RESPONSE.base.replace('200', '201'), signature)).toBe(false);
  });
});

/** Signs `base` under a label; what is not given of the parameters is left out. */
const SECRET = Buffer.alloc(32, 7);
const HMAC = { keyId: 'h', algorithm: 'hmac-sha256', key: SECRET.toString('base64') };
const NOW = Math.floor(RFC_CREATED_MS / 1000);

interface Signed {
  readonly covered?: string;
  readonly base?: string;
  readonly parameters?: string;
  readonly fields?: string[];
  readonly body?: string;
  readonly line?: string;
  readonly authority?: string;
}

function signed({
  covered = '',
  base = '',
  parameters = `;created=${NOW};keyid="h"`,
  fields = [],
  body,
  line = 'GET /a/b?x=1',
  authority = 'API.example.com:80',
}: Signed) {
  const text = `${base === '' ? '' : `${base}\n`}"@signature-params": (${covered})${parameters}`;
  const value = createHmac('sha256', SECRET).update(text, 'latin1').digest('base64');
  const all = [...fields, 'signature-input', `s=(${covered})${parameters}`, 'signature', `s=:${value}:`];
  return memoryExchange(line, {
    authority,
    fields: all,
    ...(body !== undefined && { downstream: new BodyDownstream([body]) }),
  });
}

async function ask(request: Signed, more: object = {}, parts: ContextParts = {}): Promise<string> {
  return summary(await method(more, [HMAC], parts).find(signed(request)));
}

describe('what is signed', () => {
  test.each([
    ['"@method"', 'GET'],
    ['"@authority"', 'api.example.com'],
    ['"@scheme"', 'http'],
    ['"@path"', '/a/b'],
    ['"@query"', '?x=1'],
    ['"@request-target"', '/a/b?x=1'],
    ['"@target-uri"', 'http://api.example.com/a/b?x=1'],
    ['"@query-param";name="x"', '1'],
    ['"x-list"', 'a, b'],
    ['"x-list";bs', ':YQ==:, :Yg==:'],
    ['"x-dict";key="b"', '(1 2);q'],
    ['"x-byte"', 'caf\u00e9'],
  ])('%s is %s', async (covered, value) => {
    const fields = ['x-list', 'a', 'x-list', 'b', 'x-dict', 'a=1, b=(1 2);q=?1', 'x-byte', 'caf\u00e9'];
    expect(await ask({ covered, base: `${covered}: ${value}`, fields })).toBe('acme');
    expect(await ask({ covered, base: `${covered}: ${value}x`, fields })).toBe('signature-invalid');
  });

  test('an empty query is a question mark, an encoded parameter is encoded anew', async () => {
    expect(await ask({ covered: '"@query"', base: '"@query": ?', line: 'GET /' })).toBe('acme');
    const covered = '"@query-param";name="a%20b%7E"';
    expect(await ask({ covered, base: `${covered}: c%C3%A9%20d`, line: 'GET /?a+b~=c%c3%a9+d' })).toBe('acme');
  });

  test.each([
    ['"@status"'],
    ['"@nothing"'],
    ['"@method";req'],
    ['"x-missing"'],
    ['"x-list";sf'],
    ['"x-list";key="a";bs'],
    ['"x-list";tr'],
    ['"@query-param"'],
    ['"@query-param";name="none"'],
    ['"@query-param";name="twice"'],
  ])('%s can not be covered', async (covered) => {
    const line = 'GET /?twice=1&twice=2';
    expect(await ask({ covered, base: `${covered}: x`, fields: ['x-list', 'a'], line })).toBe('signature-components');
  });
});

test('what must be covered and is not, or only in part', async () => {
  const components = ['@method', 'x-a'];
  const fields = ['x-a', 'k=1'];
  expect(await ask({ covered: '"@method"', base: '"@method": GET' }, { components })).toBe('signature-components');
  const covered = '"@method" "x-a";key="k"';
  expect(await ask({ covered, base: '"@method": GET\n"x-a";key="k": 1', fields }, { components })).toBe(
    'signature-components',
  );
  expect(await ask({ covered: '"@method" "x-a"', base: '"@method": GET\n"x-a": k=1', fields }, { components })).toBe(
    'acme',
  );
});

test.each([
  [`;created=${NOW - 309};keyid="h"`, 'acme'],
  [`;created=${NOW - 311};keyid="h"`, 'signature-age'],
  [`;created=${NOW + 11};keyid="h"`, 'acme'],
  [`;created=${NOW + 12};keyid="h"`, 'signature-age'],
  [`;created=${NOW};expires=${NOW - 8};keyid="h"`, 'acme'],
  [`;created=${NOW};expires=${NOW - 10};keyid="h"`, 'signature-age'],
  [';keyid="h"', 'signature-age'],
  [`;created=${NOW}`, 'signature-malformed'],
  [`;created=${NOW};keyid="other"`, 'signature-key-unknown'],
  [`;created=${NOW};keyid="h";alg="hmac-sha256"`, 'acme'],
  [`;created=${NOW};keyid="h";alg="ed25519"`, 'signature-algorithm'],
  [`;created="${NOW}";keyid="h"`, 'signature-malformed'],
  [`;created=${NOW}.5;keyid="h"`, 'signature-malformed'],
  [`;created=${NOW};keyid=h`, 'signature-malformed'],
])('%s: %s', async (parameters, expected) => {
  expect(await ask({ parameters })).toBe(expected);
});

test('only signatures with the tag count', async () => {
  const tagged = `;created=${NOW};keyid="h";tag="app"`;
  expect(await ask({ parameters: tagged }, { tag: 'app' })).toBe('acme');
  expect(await ask({ parameters: tagged }, { tag: 'other' })).toBe('signature-key-unknown');
  expect(await ask({}, { tag: 'app' })).toBe('signature-key-unknown');
});

test('of several signatures the first by a known key counts', async () => {
  const exchange = signed({});
  const input = exchange.headers.get('signature-input');
  exchange.headers.set('signature-input', `other=();created=1;keyid="x", ${input}`);
  exchange.headers.add('signature', 'other=:AAAA:');
  expect(summary(await method({}, [HMAC]).find(exchange))).toBe('acme');
});

test('no fields at all is no credential; one without the other is a broken one', async () => {
  expect((await method().find(memoryExchange('GET /'))).kind).toBe('absent');
  for (const fields of [
    ['signature', 's=:AAAA:'],
    ['signature-input', 's=()'],
  ])
    expect(summary(await method().find(memoryExchange('GET /', { fields })))).toBe('signature-malformed');
});

describe('a nonce', () => {
  const parameters = `;created=${NOW};keyid="h";nonce="n1"`;

  test('is accepted once', async () => {
    const living = method({}, [HMAC]);
    expect(summary(await living.find(signed({ parameters })))).toBe('acme');
    expect(summary(await living.find(signed({ parameters })))).toBe('signature-replayed');
    expect(summary(await living.find(signed({ parameters: parameters.replace('n1', 'n2') })))).toBe('acme');
    const ignoring = method({ nonce: 'ignored' }, [HMAC]);
    for (let i = 0; i < 2; i++) expect(summary(await ignoring.find(signed({ parameters })))).toBe('acme');
  });

  test('of a signature that does not hold is not remembered', async () => {
    const living = method({}, [HMAC]);
    const forged = signed({ parameters });
    forged.headers.set('signature', 's=:AAAA:');
    expect(summary(await living.find(forged))).toBe('signature-invalid');
    expect(summary(await living.find(signed({ parameters })))).toBe('acme');
  });

  test('is not used up by who only explains', async () => {
    const living = method({}, [HMAC]);
    const config = { anyOf: [['signed']], optional: false, consumerHeader: '', groupsHeader: '' };
    const stage = compose(config, [living], contextFixture());
    for (let i = 0; i < 2; i++) expect(await stage.explain?.(signed({ parameters }))).toMatchObject({ answer: null });
    expect(summary(await living.find(signed({ parameters })))).toBe('acme');
  });

  test('may be asked for', async () => {
    expect(await ask({}, { nonce: 'required' })).toBe('signature-nonce');
    expect(await ask({ parameters }, { nonce: 'required' })).toBe('acme');
  });

  test('in Redis needs one', () => {
    expect(() => method({ nonceStore: 'redis' })).toThrow(/^methods\[0\]\.nonceStore: .*TIDEGATE_REDIS_URL/);
  });
});

describe('a body', () => {
  const digest = (body: string, hash = 'sha256', name = 'sha-256') =>
    `${name}=:${createHash(hash).update(body).digest('base64')}:`;
  const request = (field: string, body: string) => ({
    covered: '"content-digest"',
    base: `"content-digest": ${field}`,
    fields: ['content-digest', field],
    body,
    line: 'POST /',
  });

  test.each([
    [digest('hello'), 'acme'],
    [digest('hello', 'sha512', 'sha-512'), 'acme'],
    [`${digest('hello')}, ${digest('hello', 'sha512', 'sha-512')}, md5=:AAAA:`, 'acme'],
    [`${digest('hello')}, ${digest('other', 'sha512', 'sha-512')}`, 'content-digest'],
    [digest('hell'), 'content-digest'],
    ['md5=:AAAA:', 'content-digest'],
    ['sha-256=1', 'content-digest'],
    ['sha-256', 'content-digest'],
    ['sha-256=:AAAA:', 'content-digest'],
    ['?', 'content-digest'],
  ])('with %s: %s', async (field, expected) => {
    expect(await ask(request(field, 'hello'), { maxBodyBytes: 5 })).toBe(expected);
  });

  test('must be covered, and is bounded', async () => {
    expect(await ask({ body: 'hello', line: 'POST /' }, { maxBodyBytes: 5 })).toBe('signature-components');
    expect(await ask({ body: 'hello', line: 'POST /' })).toBe('acme');
    expect(await ask(request(digest('hello!'), 'hello!'), { maxBodyBytes: 5 })).toBe('413 signed-body-too-large');
  });

  test('that is not there has the digest of nothing', async () => {
    const { body: _, ...bare } = request(digest(''), '');
    expect(await ask(bare, { maxBodyBytes: 5 })).toBe('acme');
    const { body: __, ...wrong } = request(digest('x'), '');
    expect(await ask(wrong, { maxBodyBytes: 5 })).toBe('content-digest');
  });

  test('is not read for a signature that does not hold', async () => {
    const exchange = signed(request(digest('hello'), 'hello'));
    exchange.headers.set('signature', 's=:AAAA:');
    exchange.downstream.readBody = () => {
      throw new Error('read');
    };
    expect(summary(await method({ maxBodyBytes: 5 }, [HMAC]).find(exchange))).toBe('signature-invalid');
  });
});

test('both RSA algorithms and new keys of every type', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = (key: typeof rsa.publicKey) => key.export({ type: 'spki', format: 'pem' }).toString();
  const base = Buffer.from('base');
  const signature = sign('sha256', base, rsa.privateKey);
  expect(createVerify('rsa-v1_5-sha256', pem(rsa.publicKey))('base', signature)).toBe(true);
  expect(createVerify('rsa-pss-sha512', pem(rsa.publicKey))('base', signature)).toBe(false);
  const ed = generateKeyPairSync('ed25519');
  expect(createVerify('ed25519', pem(ed.publicKey))('base', sign(null, base, ed.privateKey))).toBe(true);
});

test('keys that do not fit are refused when the policy is built', () => {
  const ed = RFC_KEYS[2] as (typeof RFC_KEYS)[number];
  for (const keys of [[{ ...ed, algorithm: 'rsa-pss-sha512' }], [{ ...ed, key: 'none' }], [ed, ed]])
    expect(() => method({}, keys)).toThrow(StageError);
});

test('the backend does not get the signature, unless asked to', () => {
  const exchange = signed({ fields: ['x-a', '1'] });
  method({}, [HMAC]).strip?.(exchange);
  expect(exchange.headers.fields).toEqual(['x-a', '1']);
  expect(method({ keepCredential: true }, [HMAC]).strip).toBeNull();
});

describe('whatever a client sends', () => {
  const words = fc.constantFrom(
    's=',
    '(',
    ')',
    '"@method"',
    '"x"',
    ';',
    'key="a"',
    'created=1',
    'keyid="h"',
    ':AAAA:',
    ',',
    ' ',
    '"',
    '\\',
    '?1',
    '@',
    '%"x"',
    '1.5',
    '\u00e9',
    '\0',
  );
  const field = fc.oneof(
    fc.array(words, { maxLength: 20 }).map((all) => all.join('')),
    fc.string({ unit: 'binary' }),
  );

  test('the parser answers, and a forged signature never passes', async () => {
    const living = method({ maxBodyBytes: 5 }, [HMAC]);
    await fc.assert(
      fc.asyncProperty(field, field, async (input, signature) => {
        readSignatures(input, signature);
        const fields = ['signature-input', input, 'signature', signature];
        expect((await living.find(memoryExchange('GET /', { fields }))).kind).toMatch(/^(refused|absent)$/);
      }),
      { numRuns: 2000 },
    );
  });

  test('a change of one character of a good one is noticed', async () => {
    const components = ['@method', '@authority', '@path', '@query'];
    const covered = components.map((name) => `"${name}"`).join(' ');
    const base = '"@method": GET\n"@authority": api.example.com\n"@path": /a/b\n"@query": ?x=1';
    const living = method({ components, nonce: 'ignored' }, [HMAC]);
    expect(summary(await living.find(signed({ covered, base })))).toBe('acme');
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.nat(), fc.integer({ min: 33, max: 126 }), async (which, at, code) => {
        const exchange = signed({ covered, base });
        const name = which ? 'signature' : 'signature-input';
        const value = exchange.headers.get(name) as string;
        const place = at % value.length;
        const changed = value.slice(0, place) + String.fromCharCode(code) + value.slice(place + 1);
        exchange.headers.set(name, changed);
        const finding = await living.find(exchange);
        if (finding.kind !== 'vouched') return;
        // Only what means the same may pass: another spelling of the same bytes or of the same label.
        expect(
          readSignatures(exchange.headers.get('signature-input') ?? '', exchange.headers.get('signature') ?? ''),
        ).toEqual(
          readSignatures(
            signed({ covered, base }).headers.get('signature-input') ?? '',
            signed({ covered, base }).headers.get('signature') ?? '',
          ),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('too much of it is malformed', () => {
    const many = (n: number, make: (i: number) => string) => Array.from({ length: n }, (_, i) => make(i)).join(', ');
    const inputs = many(9, (i) => `s${i}=();keyid="h"`);
    expect(
      readSignatures(
        inputs,
        many(9, (i) => `s${i}=:AAAA:`),
      ),
    ).toBeNull();
    expect(readSignatures(`s=(${many(33, (i) => `"x${i}"`).replaceAll(',', '')});keyid="h"`, 's=:AAAA:')).toBeNull();
    expect(readSignatures(`s=("x" "x");keyid="h"`, 's=:AAAA:')).toBeNull();
    expect(readSignatures(`s=("X");keyid="h"`, 's=:AAAA:')).toBeNull();
    expect(readSignatures(`s=();keyid="${'h'.repeat(9000)}"`, 's=:AAAA:')).toBeNull();
  });
});
