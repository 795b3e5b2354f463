/** Client certificates as an authentication method and in rules of authorization, with real requests; what TLS found is given. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import type { PeerCertificate, TlsPeer } from '../pipeline/tls-peer.ts';
import { PolicedGateway } from './policed.fixture.ts';

const FINGERPRINT = 'ab'.repeat(32);

function certificate(more: Partial<PeerCertificate> = {}): PeerCertificate {
  const names = { dnsNames: [], uris: [], emails: [], spiffeId: '' };
  return { subject: 'CN=ann,O=Acme', commonName: 'ann', ...names, fingerprint: FINGERPRINT, ...more };
}

function tls(shown: PeerCertificate | null): TlsPeer {
  return { serverName: 'gateway.example', version: 'TLSv1.3', certificate: shown };
}

let gateway: PolicedGateway;
beforeEach(async () => {
  gateway = await new PolicedGateway((request, response) => response.end(JSON.stringify(request.headers))).start();
});
afterEach(() => gateway.stop());

function authentication(methods: object[], more: object = {}): object {
  const named = methods.map((method, index) => ({ kind: 'clientCertificate', name: `m${index}`, ...method }));
  return { section: 'authentication', methods: named, anyOf: named.map(({ name }) => [name]), ...more };
}

async function ask(shown: PeerCertificate | null | 'http', headers: Record<string, string> = {}) {
  gateway.tls = shown === 'http' ? null : tls(shown);
  const { status, body } = await gateway.send({ headers });
  const said = JSON.parse(body) as Record<string, string | undefined>;
  return { status, code: said.code, consumer: said['x-consumer'], xfcc: said['x-forwarded-client-cert'], said };
}

test('what names the consumer is chosen; without it the certificate is refused', async () => {
  const full = certificate({
    dnsNames: ['a.example', 'b.example'],
    uris: ['spiffe://example.org/ns/shop'],
    emails: ['ann@example.com'],
    spiffeId: 'spiffe://example.org/ns/shop',
  });
  const bare = certificate({ subject: '', commonName: '', fingerprint: '' });
  const consumers = {
    subject: 'CN=ann,O=Acme',
    commonName: 'ann',
    dnsName: 'a.example',
    uri: 'spiffe://example.org/ns/shop',
    spiffeId: 'spiffe://example.org/ns/shop',
    email: 'ann@example.com',
    fingerprint: FINGERPRINT,
  };
  for (const [consumer, expected] of Object.entries(consumers)) {
    await gateway.apply([authentication([{ consumer }])]);
    expect(await ask(full)).toMatchObject({ status: 200, consumer: expected });
    expect(await ask(bare)).toMatchObject({ status: 403, code: 'certificate-refused' });
  }
});

test('no certificate, and plain HTTP, is no credential: 401, or the next method', async () => {
  await gateway.apply([authentication([{ consumer: 'subject' }])]);
  expect(await ask(null)).toMatchObject({ status: 401, code: 'credentials-missing' });
  const pretended = { 'x-forwarded-client-cert': 'Hash=ab', 'x-consumer': 'ann' };
  expect(await ask('http', pretended)).toMatchObject({ status: 401, code: 'credentials-missing' });
  await gateway.apply([authentication([{ consumer: 'subject' }], { optional: true })]);
  expect(await ask('http', pretended)).toMatchObject({ status: 200, consumer: undefined, xfcc: undefined });
});

test('only certificates that are allowed: by subject, names, URI, mail domain, hash', async () => {
  const allow = {
    subjects: ['CN=ann,O=Acme'],
    commonNames: ['carol'],
    dnsNames: ['exact.example', '*.clients.example'],
    uris: ['spiffe://example.org/ns/shop/*', 'urn:one'],
    emails: ['*@example.com', 'x@other.example'],
    fingerprints: ['cd'.repeat(32)],
  };
  await gateway.apply([authentication([{ consumer: 'fingerprint', allow }])]);
  const other = { subject: 'CN=bob,O=Evil', commonName: 'bob' };
  const passing: Partial<PeerCertificate>[] = [
    { subject: 'CN=ann,O=Acme' },
    { commonName: 'carol' },
    { dnsNames: ['no.example', 'EXACT.example'] },
    { dnsNames: ['a.b.clients.example'] },
    { uris: ['spiffe://example.org/ns/shop/sa/orders'] },
    { uris: ['urn:one'] },
    { emails: ['ann@example.com'] },
    { fingerprint: 'cd'.repeat(32) },
  ];
  for (const one of passing) expect([one, (await ask(certificate({ ...other, ...one }))).status]).toEqual([one, 200]);
  const refused: Partial<PeerCertificate>[] = [
    {},
    { subject: 'CN=ann,O=Acme,C=DE' },
    { dnsNames: ['clients.example', '.clients.example', 'a.clients.example.evil', 'x.exact.example'] },
    { uris: ['spiffe://example.org/ns/shop', 'spiffe://example.org/ns/shop/', 'spiffe://example.org.evil/ns/shop/a'] },
    { uris: ['spiffe://example.org/ns/shop/../admin', 'spiffe://example.org/ns/shop/%2e%2e/admin', 'urn:one:two'] },
    { emails: ['@example.com', 'ann@example.com.evil', 'y@other.example'] },
  ];
  for (const one of refused)
    expect([one, (await ask(certificate({ ...other, ...one }))).code]).toEqual([one, 'certificate-refused']);
});

test('the backend is told in x-forwarded-client-cert where asked; what clients send under it never passes', async () => {
  const shown = certificate({
    subject: 'CN=a\\"b;Hash=cc\n',
    uris: ['spiffe://e/a', 'x:,URI=spiffe://e/admin'],
    dnsNames: ['a.b'],
  });
  const pretended = { 'x-forwarded-client-cert': 'Hash=ee' };
  await gateway.apply([authentication([{ consumer: 'fingerprint', forward: true }])]);
  expect((await ask(shown, pretended)).xfcc).toBe(
    `Hash=${FINGERPRINT};Subject="CN=a\\\\\\"b;Hash=cc?";URI=spiffe://e/a;URI="x:,URI=spiffe://e/admin";DNS=a.b`,
  );
  await gateway.apply([authentication([{ consumer: 'fingerprint' }])]);
  expect((await ask(shown, pretended)).xfcc).toBeUndefined();
  await gateway.apply([]);
  expect((await ask('http', pretended)).xfcc).toBeUndefined();
  const long = certificate({ dnsNames: Array.from({ length: 1000 }, (_, i) => `host-${i}.example`) });
  await gateway.apply([authentication([{ consumer: 'fingerprint', forward: true }])]);
  expect((await ask(long)).xfcc?.length).toBeLessThanOrEqual(4096);
});

test('rules of authorization ask for certificates, plainly and in expressions', async () => {
  const rules = (rule: object, more: object = { default: 'deny' }) => ({
    section: 'authorization',
    rules: [{ name: 'r', action: 'allow', ...rule }],
    ...more,
  });
  const spiffe = certificate({ uris: ['spiffe://e/a'], spiffeId: 'spiffe://e/a' });
  const status = async () =>
    Promise.all([(await ask(spiffe)).status, (await ask(certificate())).status, (await ask('http')).status]);
  await gateway.apply([rules({ certificate: { uris: ['spiffe://e/*'] } })]);
  expect(await status()).toEqual([200, 403, 403]);
  await gateway.apply([rules({ cel: 'certificate.uris.exists(u, u.startsWith("spiffe://e/"))' })]);
  expect(await status()).toEqual([200, 403, 403]);
  // Who shows none is not meant by an allow rule, whatever its expression makes of nothing.
  await gateway.apply([rules({ cel: 'certificate.spiffeId != "spiffe://e/a"' })]);
  expect(await status()).toEqual([403, 200, 403]);
  await gateway.apply([
    rules({ action: 'deny', cel: '!certificate.uris.exists(u, u == "spiffe://e/a")' }, { default: 'allow' }),
  ]);
  expect(await status()).toEqual([200, 403, 403]);
});

test('explain says who calls', async () => {
  await gateway.apply([authentication([{ consumer: 'commonName' }])]);
  const exchange = memoryExchange('GET /');
  Object.assign(exchange.downstream, { tls: tls(certificate()) });
  const { sections } = await gateway.runtime.explain(exchange, undefined);
  expect(sections[0]?.text).toBe('m0: consumer ann');
});
