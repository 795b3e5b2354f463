/** Client certificates through the whole program: real ones, verified by TLS, over HTTP/1.1 and HTTP/2, behind a PROXY header too. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './engine.fixture.ts';
import { type Issued, TestAuthority } from './listener/tls/certificates.fixture.ts';
import { forwardFixture } from './snapshot/fixtures.ts';
import { policySection, type Resource } from './snapshot/resources.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { proxied, publish, Scene } from './test-scene.ts';

const HOST = 'mesh.example';
const SPIFFE = 'spiffe://example.org/ns/shop/sa/orders';

let scene: Scene;
let authority: TestAuthority;
beforeEach(() => {
  scene = new Scene();
  authority = new TestAuthority();
  scene.after(() => authority.close());
});
afterEach(() => scene.end());

function policy(config: object): Resource {
  const parsed = policySection.parse(config);
  return { kind: 'policy', id: `policy/a/mesh/${parsed.section}`, source: 'a/mesh', config: parsed };
}

async function start(env: Record<string, string> = {}): Promise<{ https: number; lines: () => object[] }> {
  const backend = await scene.backend((request, response) => response.end(JSON.stringify(request.headers)));
  const server = authority.issue([`DNS:${HOST}`], `/CN=${HOST}`);
  const policies = [
    policy({
      section: 'authentication',
      methods: [
        {
          kind: 'clientCertificate',
          name: 'mesh',
          consumer: 'spiffeId',
          allow: { uris: ['spiffe://example.org/ns/shop/*'] },
          forward: true,
        },
      ],
      anyOf: [['mesh']],
    }),
    policy({
      section: 'authorization',
      default: 'deny',
      rules: [
        {
          name: 'orders',
          action: 'allow',
          cel: `certificate.spiffeId == "${SPIFFE}" && certificate.commonName == "orders"`,
        },
      ],
    }),
    policy({
      section: 'security',
      requireHttps: { status: 308, port: 443 },
      hsts: { maxAgeSeconds: 60, includeSubDomains: false, preload: false },
    }),
  ];
  const [rule, ...others] = proxied(backend);
  const resources: Resource[] = [
    {
      ...(rule as Extract<Resource, { kind: 'rule' }>),
      hosts: [HOST],
      action: forwardFixture('shop/api'),
      policies: policies.map(({ id }) => id),
    },
    ...others,
    ...policies,
    { kind: 'certificate', id: 'certificate/Route/shop/api/server', chain: server.chain, key: server.key },
    { kind: 'trust', id: 'trust/Route/shop/api/ca', authorities: authority.certificate },
    {
      kind: 'tls',
      id: 'tls/shop/api',
      hosts: [HOST],
      createdAtMs: 0,
      action: {
        kind: 'terminate',
        certificate: 'certificate/Route/shop/api/server',
        clientCertificate: { mode: 'optional', trust: 'trust/Route/shop/api/ca' },
      },
    },
  ];
  const controller = await scene.controller();
  const port = await freePort();
  const dataplane = scene.dataplane(controller.address, {
    TIDEGATE_HTTPS_PORT: String(port),
    TIDEGATE_WORKERS: '1',
    ...env,
  });
  await publish(await controller.streams.next(), new TestSnapshot(resources));
  await dataplane.ready();
  return { https: port, lines: () => dataplane.lines.all.filter(({ status }) => status !== undefined) };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Said {
  readonly status: number;
  readonly hsts: string | undefined;
  readonly body: Record<string, string>;
}

async function ask(port: number, shown: Issued | null, proxyHeader = ''): Promise<Said> {
  const raw = net.connect(port, '127.0.0.1');
  if (proxyHeader !== '') raw.write(proxyHeader);
  const certificate = shown === null ? {} : { cert: shown.chain, key: shown.key };
  const socket = tls.connect({
    socket: raw,
    servername: HOST,
    ca: authority.certificate,
    ALPNProtocols: ['http/1.1'],
    ...certificate,
  });
  socket.on('error', () => {});
  const request = http.get({
    headers: { host: HOST, 'x-forwarded-client-cert': 'Hash=me' },
    createConnection: () => socket,
  });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('latin1')) text += chunk;
  socket.destroy();
  return {
    status: response.statusCode ?? 0,
    hsts: response.headers['strict-transport-security'],
    body: JSON.parse(text),
  };
}

test('what TLS verified says who calls, over HTTP/1.1 and HTTP/2; rules ask for it, the backend is told', async () => {
  const { https: port, lines } = await start();
  const orders = authority.issue([`URI:${SPIFFE}`, 'DNS:orders.example'], '/O=Shop/CN=orders');
  const good = await ask(port, orders);
  expect(good).toMatchObject({ status: 200, hsts: 'max-age=60' });
  expect(good.body['x-consumer']).toBe(SPIFFE);
  expect(good.body['x-forwarded-client-cert']).toMatch(
    new RegExp(`^Hash=[0-9a-f]{64};Subject="CN=orders,O=Shop";URI=${SPIFFE};DNS=orders.example$`),
  );
  expect(good.body['x-forwarded-proto']).toBe('https');
  expect(await ask(port, null)).toMatchObject({
    status: 401,
    hsts: 'max-age=60',
    body: { code: 'credentials-missing' },
  });
  const elsewhere = authority.issue(['URI:spiffe://example.org/ns/other/sa/orders'], '/CN=orders');
  expect(await ask(port, elsewhere)).toMatchObject({ status: 403, body: { code: 'certificate-refused' } });
  const another = authority.issue(['URI:spiffe://example.org/ns/shop/sa/mail'], '/CN=orders');
  expect(await ask(port, another)).toMatchObject({ status: 403, body: { code: 'forbidden-default' } });
  const stranger = new TestAuthority('Other CA');
  scene.after(() => stranger.close());
  await expect(ask(port, stranger.issue([`URI:${SPIFFE}`], '/CN=orders'))).rejects.toThrow();

  const session = http2.connect(`https://127.0.0.1:${port}`, {
    servername: HOST,
    ca: authority.certificate,
    cert: orders.chain,
    key: orders.key,
  });
  const stream = session.request({ ':path': '/', ':authority': HOST });
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  let text = '';
  for await (const chunk of stream.setEncoding('latin1')) text += chunk;
  expect([headers[':status'], JSON.parse(text)['x-consumer']]).toEqual([200, SPIFFE]);
  session.destroy();
  await eventually(() => lines().length > 0);
  expect(lines()[0]).toMatchObject({ status: 200, consumer: SPIFFE });
}, 60_000);

test('a PROXY header before TLS says whose address it is', async () => {
  const { https: port } = await start({ TIDEGATE_PROXY_PROTOCOL: 'https', TIDEGATE_PROXY_PROTOCOL_FROM: '127.0.0.1' });
  const orders = authority.issue([`URI:${SPIFFE}`], '/CN=orders');
  const said = await ask(port, orders, 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n');
  expect(said.body).toMatchObject({ 'x-forwarded-for': '192.0.2.7', 'x-consumer': SPIFFE });
  await expect(ask(port, orders)).rejects.toThrow();
}, 60_000);
