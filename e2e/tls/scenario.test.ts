/**
 * TLS on the cluster, as clients see it: certificates by server name from Secrets of Routes, replaced under load, missing and broken; certificates
 * of clients; passthrough; TLS to backends; and a rolling restart of the data plane under HTTPS.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CertificateFiles, createAuthority, issueCertificate } from '../cluster/certificates.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import {
  backend,
  condition,
  curl,
  echo,
  gatewayUrl,
  installedCluster,
  NAMESPACE,
  podsOf,
  route,
  TO_ECHO,
} from '../harness/installation.ts';
import { type Client, TlsLoad } from './load.ts';

const namespace = 'tls';
const [SHOP, BLOG, LOST, MUTUAL, THROUGH, INNER] = ['shop', 'blog', 'lost', 'mutual', 'through', 'inner'].map(
  (name) => `${name}.tls.example.com`,
) as [string, string, string, string, string, string];
const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-e2e-tls-'));
let cluster: Cluster;
let address: string;
let authority: CertificateFiles;
let strangers: CertificateFiles;
let ca: string;
let issued = 0;

interface Pair {
  readonly cert: string;
  readonly key: string;
  readonly serial: string;
}

async function issue(names: readonly string[], commonName = names[0] ?? '', by = authority): Promise<Pair> {
  const request = { name: `leaf${++issued}`, commonName, alternativeNames: names.map((name) => `DNS:${name}`) };
  const files = await issueCertificate(folder, by, request);
  const [cert, key] = [readFileSync(files.cert, 'utf8'), readFileSync(files.key, 'utf8')];
  return { cert, key, serial: new X509Certificate(cert).serialNumber };
}

const secret = (name: string, { cert, key }: { cert: string; key: string }) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  type: 'kubernetes.io/tls',
  stringData: { 'tls.crt': cert, 'tls.key': key },
});
const authorities = (name: string, pem: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData: { 'ca.crt': pem },
});
const secureRoute = (name: string, host: string, of: object, rules: readonly object[] = [TO_ECHO]) => {
  const plain = route(namespace, name, host, rules);
  return { ...plain, spec: { ...plain.spec, tls: of } };
};
const secureBackend = (name: string, trusted: string) => ({
  ...backend(namespace, name),
  spec: { service: { name: 'secure', port: 8443 }, protocol: 'https', tls: { ca: { secret: trusted } } },
});

beforeAll(async () => {
  cluster = await installedCluster();
  address = new URL(await gatewayUrl(cluster)).hostname;
  [authority, strangers] = (await Promise.all(
    ['authority', 'strangers'].map((name) => createAuthority(folder, name)),
  )) as [CertificateFiles, CertificateFiles];
  ca = readFileSync(authority.cert, 'utf8');
  await cluster.kubectl(['create', 'namespace', namespace], { allowFailure: true });
  await cluster.apply([
    secret('shop', await issue([SHOP])),
    secret('blog', await issue([BLOG])),
    secret('mutual', await issue([MUTUAL])),
    secret('inner', await issue([INNER])),
    secret('secure', await issue([THROUGH, `secure.${namespace}.svc`])),
    authorities('authority', ca),
    authorities('strangers', readFileSync(strangers.cert, 'utf8')),
    backend(namespace, 'echo'),
    ...secureServer(),
    secureBackend('secure', 'authority'),
    secureBackend('doubted', 'strangers'),
    secureRoute('shop', SHOP, { secret: 'shop' }),
    secureRoute('blog', BLOG, { secret: 'blog' }),
    secureRoute('lost', LOST, { secret: 'lost' }),
    secureRoute('mutual', MUTUAL, {
      secret: 'mutual',
      clientCertificate: { mode: 'required', ca: { secret: 'authority' } },
    }),
    secureRoute('through', THROUGH, { passthrough: true }, [{ name: 'all', backends: [{ name: 'secure' }] }]),
    secureRoute('inner', INNER, { secret: 'inner' }, [
      { name: 'doubted', matches: [{ path: { prefix: '/doubted' } }], backends: [{ name: 'doubted' }] },
      { name: 'all', backends: [{ name: 'secure' }] },
    ]),
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Policy',
      metadata: { name: 'mutual', namespace },
      spec: {
        targetRefs: [{ kind: 'Route', name: 'mutual' }],
        authentication: {
          methods: [{ name: 'certificate', clientCertificate: { consumer: 'commonName' } }],
          consumerHeader: 'x-caller',
        },
      },
    },
  ]);
  await echo(cluster, namespace, 'echo', 1);
  await rolledOut(namespace, 'secure');
  for (const name of ['shop', 'blog', 'mutual', 'through', 'inner'])
    await condition(cluster, namespace, `route/${name}`);
  await condition(cluster, namespace, 'policy.tidegate.dev/mutual');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A handshake and no more: the certificate, or the error's code. */
async function handshake(
  servername: string,
  to = { host: address, port: 443 },
): Promise<{ serial: string; version: string }> {
  const socket = tls.connect({ ...to, servername, ca, timeout: 5000 });
  socket.once('timeout', () => socket.destroy(new Error('no handshake within 5 s')));
  try {
    await once(socket, 'secureConnect');
    return { serial: socket.getPeerCertificate().serialNumber, version: socket.getProtocol() ?? '' };
  } finally {
    socket.destroy();
  }
}

interface Answer {
  /** Of curl; 0: it got an answer. */
  readonly code: number;
  readonly status: number;
  readonly version: string;
  readonly body: string;
  readonly error: string;
}

async function ask(host: string, url = '/', ...args: string[]): Promise<Answer> {
  const { stdout, stderr, code } = await cluster.exec(
    [
      ...['curl', '-sS', '-m', '10', '--cacert', authority.cert, '--resolve', `${host}:443:${address}`],
      ...['-w', '\n%{http_version} %{http_code}', ...args, `https://${host}${url}`],
    ],
    { allowFailure: true },
  );
  const at = stdout.lastIndexOf('\n');
  const [version = '', status = ''] = stdout.slice(at + 1).split(' ');
  return { code, status: Number(status), version, body: stdout.slice(0, at), error: stderr };
}

/** What a client without a certificate is told that reads and does not write: one that writes may find the connection closed before it reads. */
async function heard(host: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await cluster.exec(
    [
      ...['timeout', '10', 'openssl', 's_client', '-connect', `${address}:443`, '-servername', host],
      ...['-CAfile', authority.cert, '-ign_eof', ...args],
    ],
    { allowFailure: true },
  );
  return stdout + stderr;
}

async function rolledOut(where: string, name: string): Promise<void> {
  await cluster.kubectl(['rollout', 'status', '-n', where, `deployment/${name}`, '--timeout=120s'], {
    timeoutMs: 130_000,
  });
}

/** The server of server.ts with its Service. */
function secureServer(): object[] {
  const metadata = { name: 'secure', namespace };
  const labels = { app: 'secure' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'https', port: 8443, targetPort: 'https' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'secure',
                image: 'tidegate/tls:dev',
                ports: [{ name: 'https', containerPort: 8443 }],
                env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
                readinessProbe: { tcpSocket: { port: 'https' }, periodSeconds: 1 },
                volumeMounts: [{ name: 'tls', mountPath: '/etc/tls', readOnly: true }],
                securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
              },
            ],
            volumes: [{ name: 'tls', secret: { secretName: 'secure', defaultMode: 0o444 } }],
          },
        },
      },
    },
  ];
}

const CLIENTS: readonly Client[] = ['kept', 'fresh', 'h2'];
const LOOPS = 8;
const startLoads = () =>
  CLIENTS.map((client) => new TlsLoad(client, { address, host: SHOP, ca }, LOOPS, client === 'fresh' ? 50 : 5));

test('the server name chooses the certificate, and ALPN the protocol', async () => {
  for (const host of [SHOP, BLOG]) {
    const shown = await handshake(host);
    const { data } = await cluster.get<{ data: Record<string, string> }>([
      ...['secret', '-n', namespace, host === SHOP ? 'shop' : 'blog'],
    ]);
    const expected = new X509Certificate(Buffer.from(data['tls.crt'] ?? '', 'base64')).serialNumber;
    expect(shown).toEqual({ serial: expected, version: 'TLSv1.3' });
    expect(await ask(host, '/', '--http1.1')).toMatchObject({ code: 0, status: 200, version: '1.1' });
    const second = await ask(host, '/', '--http2', '--tls-max', '1.2');
    expect(second).toMatchObject({ code: 0, status: 200, version: '2' });
    expect(JSON.parse(second.body).headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-forwarded-host': host });
  }
});

test('a Secret is replaced under load: no request fails, new handshakes show the new certificate, kept connections go on', async () => {
  const loads = startLoads();
  const [kept, fresh, h2] = loads as [TlsLoad, TlsLoad, TlsLoad];
  await until('the load runs', () => loads.every(({ sent }) => sent > 100), 20_000, 50);
  const renewed = await issue([SHOP]);
  const begunAt = performance.now();
  await cluster.apply(secret('shop', renewed));
  await until('the new certificate is shown', () => fresh.serials.has(renewed.serial), 10_000, 10);
  const shownAfterMs = Math.round((fresh.serials.get(renewed.serial) ?? 0) - begunAt);
  for (const pod of await podsOf(cluster, 'dataplane')) {
    const at = { host: pod.status.podIP ?? '', port: 8443 };
    await until('each pod shows it', async () => (await handshake(SHOP, at)).serial === renewed.serial, 10_000, 50);
  }
  const sent = loads.map((load) => load.sent);
  await until('the load goes on', () => loads.every((load, i) => load.sent > (sent[i] ?? 0) + 100), 20_000, 50);
  await Promise.all(loads.map((load) => load.stop()));
  console.log(`tls: a certificate replaced, first shown ${shownAfterMs} ms after kubectl began; ${loads.join('; ')}`);
  expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
  expect(fresh.serials.size).toBe(2);
  // Opened before, with the certificate before.
  expect([kept.connections, kept.serials.size]).toEqual([LOOPS, 1]);
  expect([h2.connections, h2.serials.size, h2.repeated]).toEqual([2, 1, 0]);
});

test('a Secret that is missing or broken harms its own host, says so, and recovers', async () => {
  const neighbour = new TlsLoad('fresh', { address, host: BLOG, ca }, 2, 25);
  const refused = { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' };
  const missing = await condition(cluster, namespace, 'route/lost', 'ResolvedRefs', 'False');
  expect(missing).toMatchObject({ reason: 'CertificateNotFound', message: expect.stringContaining('tls/lost') });
  await expect(handshake(LOST)).rejects.toMatchObject(refused);

  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
  await cluster.apply(secret('lost', { cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', key }));
  await until(
    'the Route says what is wrong',
    async () =>
      (await condition(cluster, namespace, 'route/lost', 'ResolvedRefs', 'False')).reason === 'InvalidCertificate',
    10_000,
  );
  await expect(handshake(LOST)).rejects.toMatchObject(refused);

  const good = await issue([LOST]);
  await cluster.apply(secret('lost', good));
  await condition(cluster, namespace, 'route/lost', 'ResolvedRefs', 'True');
  await condition(cluster, namespace, 'route/lost');
  await until('the host is served', async () => (await handshake(LOST)).serial === good.serial, 10_000, 50);
  expect(await ask(LOST)).toMatchObject({ code: 0, status: 200, version: '2' });
  await neighbour.stop();
  console.log(`tls: beside a host without certificate, ${neighbour}`);
  expect(neighbour.failures).toEqual([]);
});

test('a certificate is demanded of clients, and names the consumer', async () => {
  await issue(['a.client'], 'acme');
  const shown = (name: string) => [
    '--cert',
    path.join(folder, `${name}.crt`),
    '--key',
    path.join(folder, `${name}.key`),
  ];
  const client = shown(`leaf${issued}`);
  await issue(['b.client'], 'acme', strangers);
  const strange = shown(`leaf${issued}`);
  for (const protocol of ['http/1.1', 'h2'])
    expect(await heard(MUTUAL, '-tls1_3', '-alpn', protocol)).toContain('SSL alert number 116');
  expect(await heard(MUTUAL, '-tls1_2')).toMatch(/SSL alert number (?:40|116)/);
  for (const protocol of ['--http1.1', '--http2']) {
    const none = await ask(MUTUAL, '/', protocol);
    // In TLS 1.3 the client has sent its request before it hears of the alert, and may find the connection closed instead.
    expect([none.status, none.code === 0], none.error).toEqual([0, false]);
    const other = await ask(MUTUAL, '/', protocol, ...strange);
    expect(other.status).toBe(0);
    // Neither by the name of another host, nor without TLS.
    expect((await ask(SHOP, '/', protocol, '-H', `Host: ${MUTUAL}`)).status).toBe(421);
    const known = await ask(MUTUAL, '/', protocol, ...client, '-H', 'x-caller: root');
    expect(known, known.error).toMatchObject({ code: 0, status: 200 });
    expect(JSON.parse(known.body).headers['x-caller']).toBe('acme');
  }
  expect((await curl(cluster, `http://${address}/`, '-H', `Host: ${MUTUAL}`)).status).toBe(421);
});

test('TLS passes through to the pod that terminates it', async () => {
  const shown = await handshake(THROUGH);
  const pods = await cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'app=secure', '-o', 'name']);
  const { data } = await cluster.get<{ data: Record<string, string> }>(['secret', '-n', namespace, 'secure']);
  expect(shown.serial).toBe(new X509Certificate(Buffer.from(data['tls.crt'] ?? '', 'base64')).serialNumber);
  const answer = await ask(THROUGH);
  expect(answer, answer.error).toMatchObject({ code: 0, status: 200, version: '1.1' });
  const said = JSON.parse(answer.body);
  expect(pods).toContain(said.pod);
  expect(said.servername).toBe(THROUGH);
  // Nobody in between has read it.
  expect(Object.keys(said.headers).filter((name) => name.startsWith('x-forwarded'))).toEqual([]);
});

test('a backend is asked over TLS, verified by the CAs of its Secret', async () => {
  const answer = await ask(INNER);
  expect(answer, answer.error).toMatchObject({ code: 0, status: 200, version: '2' });
  expect(JSON.parse(answer.body)).toMatchObject({
    servername: `secure.${namespace}.svc`,
    headers: { 'x-forwarded-proto': 'https' },
  });
  const doubted = await ask(INNER, '/doubted');
  expect([doubted.status, JSON.parse(doubted.body).code]).toEqual([503, 'upstream-connect-failed']);
});

test('a rolling restart of the data plane loses no request over HTTPS', async () => {
  const loads = startLoads();
  await until('the load runs', () => loads.every(({ sent }) => sent > 20), 20_000, 50);
  const old = (await podsOf(cluster, 'dataplane')).map(({ metadata }) => metadata.name);
  await cluster.kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/tidegate-dataplane']);
  await rolledOut(NAMESPACE, 'tidegate-dataplane');
  await until(
    'the pods before are gone',
    async () => {
      const pods = await cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'name']);
      return old.every((name) => !pods.includes(name));
    },
    60_000,
  );
  await Promise.all(loads.map((load) => load.stop()));
  console.log(`tls: a rolling restart; ${loads.join('; ')}`);
  expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
  // Each old pod says GOAWAY once, and meets at most one request of a loop.
  for (const load of loads) expect(load.repeated).toBeLessThanOrEqual(old.length * LOOPS);
});
