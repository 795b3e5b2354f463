/** The ports for clients, from the Service to the program; what one client may send; and who may say who the client is. */
import { expect, test } from 'vitest';
import { environment, type Manifest, pick, podTemplate, render } from './render.ts';

const NAME = 'tidegate-dataplane';

async function ports(set: Readonly<Record<string, string>>) {
  const manifests = await render({ set: { 'networkPolicy.enabled': 'true', ...set } });
  const template = podTemplate(manifests, 'dataplane');
  const env = environment(template, {});
  const policy = pick(manifests, 'NetworkPolicy', NAME).spec.ingress[0];
  return {
    service: pick(manifests, 'Service', NAME).spec.ports.map((port: Manifest) => [
      port.name,
      port.port,
      port.targetPort,
    ]),
    containers: template.spec.containers[0].ports.map((port: Manifest) => [port.name, port.containerPort]),
    policy: policy.ports.map((port: Manifest) => port.port),
    env: ['HTTP', 'HTTPS', 'H2C'].map((name) => env[`TIDEGATE_${name}_PORT`]),
  };
}

test('HTTP and HTTPS are served by default: 80 to 8080, 443 to 8443', async () => {
  expect(await ports({})).toEqual({
    service: [
      ['http', 80, 'http'],
      ['https', 443, 'https'],
    ],
    containers: [
      ['http', 8080],
      ['https', 8443],
      ['admin', 9090],
    ],
    policy: ['http', 'https'],
    env: ['8080', '8443', '0'],
  });
});

test('ports have other numbers, and HTTP/2 without TLS one of its own', async () => {
  const set = { 'service.httpsPort': '8443', 'dataplane.ports.https': '9443', 'service.h2cPort': '8081' };
  expect(await ports(set)).toEqual({
    service: [
      ['http', 80, 'http'],
      ['https', 8443, 'https'],
      ['h2c', 8081, 'h2c'],
    ],
    containers: [
      ['http', 8080],
      ['https', 9443],
      ['h2c', 8081],
      ['admin', 9090],
    ],
    policy: ['http', 'https', 'h2c'],
    env: ['8080', '9443', '8081'],
  });
});

test('without service.httpsPort nothing listens for TLS', async () => {
  expect(await ports({ 'service.httpsPort': 'null' })).toEqual({
    service: [['http', 80, 'http']],
    containers: [
      ['http', 8080],
      ['admin', 9090],
    ],
    policy: ['http'],
    env: ['8080', '0', '0'],
  });
});

const environmentOf = async (set: Readonly<Record<string, string>>) =>
  environment(podTemplate(await render({ set }), 'dataplane'), {});

test('what one client may send arrives in the units of the program, large numbers in digits', async () => {
  expect(await environmentOf({})).toMatchObject({
    TIDEGATE_REQUEST_LINE_BYTES: '8192',
    TIDEGATE_HEADER_BYTES: '32768',
    TIDEGATE_BODY_BYTES: '0',
    TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS: '0',
    TIDEGATE_HEADER_TIMEOUT_MS: '10000',
    TIDEGATE_IDLE_TIMEOUT_MS: '75000',
  });
  const set = {
    'dataplane.clients.requestLineBytes': '16384',
    'dataplane.clients.headerBytes': '65536',
    'dataplane.clients.headerCount': '200',
    'dataplane.clients.bodyBytes': '5368709120',
    'dataplane.clients.requestsPerConnection': '1000000',
    'dataplane.clients.headerTimeoutSeconds': '5',
    'dataplane.clients.idleTimeoutSeconds': '60',
    'dataplane.clients.bodyTimeoutSeconds': '20',
    'dataplane.clients.bodyBytesPerSecond': '1000000',
    'dataplane.overload.maxRequests': '1000000',
    'dataplane.overload.maxConnections': '1000000',
    'dataplane.overload.maxConnectionsPerAddress': '100',
  };
  expect(await environmentOf(set)).toMatchObject({
    TIDEGATE_REQUEST_LINE_BYTES: '16384',
    TIDEGATE_HEADER_BYTES: '65536',
    TIDEGATE_HEADER_COUNT: '200',
    TIDEGATE_BODY_BYTES: '5368709120',
    TIDEGATE_MAX_REQUESTS_PER_CONNECTION: '1000000',
    TIDEGATE_HEADER_TIMEOUT_MS: '5000',
    TIDEGATE_IDLE_TIMEOUT_MS: '60000',
    TIDEGATE_BODY_TIMEOUT_MS: '20000',
    TIDEGATE_BODY_BYTES_PER_SECOND: '1000000',
    TIDEGATE_MAX_REQUESTS: '1000000',
    TIDEGATE_MAX_CONNECTIONS: '1000000',
    TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS: '100',
  });
});

test('a PROXY protocol is spoken on the ports named, with the addresses named, and by default nowhere', async () => {
  const none = await environmentOf({});
  expect(none.TIDEGATE_PROXY_PROTOCOL).toBeUndefined();
  expect(none.TIDEGATE_PROXY_PROTOCOL_FROM).toBeUndefined();
  const set = { ports: ['http', 'https'], from: ['10.0.0.0/8', '2001:db8::1'] };
  expect(await environmentOf({ 'dataplane.proxyProtocol': JSON.stringify(set) })).toMatchObject({
    TIDEGATE_PROXY_PROTOCOL: 'http,https',
    TIDEGATE_PROXY_PROTOCOL_FROM: '10.0.0.0/8,2001:db8::1',
  });
});

test.each([
  ['service.httpsPort', '70000', "'/service/httpsPort'"],
  ['service.httpsPort', '"443"', "'/service/httpsPort'"],
  ['dataplane.ports.https', '443', "'/dataplane/ports/https'"],
  ['dataplane.clients.headerBytes', '0', "'/dataplane/clients/headerBytes'"],
  ['dataplane.clients.headerSize', '1', "'/dataplane/clients': additional properties 'headerSize' not allowed"],
  ['dataplane.clients.bodyBytes', '"1Gi"', "'/dataplane/clients/bodyBytes': got string, want integer"],
  ['dataplane.overload.maxConnectionsPerAddress', '-1', "'/dataplane/overload/maxConnectionsPerAddress'"],
  ['dataplane.proxyProtocol.ports', '["admin"]', "'/dataplane/proxyProtocol/ports/0'"],
  ['dataplane.proxyProtocol.ports', '["http"]', 'dataplane.proxyProtocol.from'],
  ['dataplane.proxyProtocol.from', '["10.0.0.0/8"]', 'dataplane.proxyProtocol.ports'],
  ['dataplane.proxyProtocol', '{"ports":["h2c"],"from":["10.0.0.0/8"]}', 'service.h2cPort'],
])('%s=%s is refused by name', async (name, value, message) => {
  await expect(render({ set: { [name]: value } })).rejects.toThrow(message);
});
