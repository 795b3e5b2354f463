/** Values at the edges of what the schemas take, each in an otherwise valid object. */

export interface Edge {
  readonly kind: 'Route' | 'Backend' | 'Policy';
  readonly spec: object;
}

const route = (rule: object, more: object = {}): Edge => ({
  kind: 'Route',
  spec: { rules: [{ name: 'a', respond: { status: 200 }, ...rule }], ...more },
});
const match = (one: object): Edge => route({ matches: [one] });
const backend = (spec: object): Edge => ({ kind: 'Backend', spec });
const policy = (sections: object): Edge => ({
  kind: 'Policy',
  spec: { targetRefs: [{ kind: 'Route', name: 'a' }], ...sections },
});

const HOSTS = [
  'a',
  'a.b',
  '*.a',
  '*',
  '*.',
  '.a',
  'a.',
  'A.b',
  'a_b',
  'xn--a',
  'a-.b',
  '-a',
  '1.2.3.4',
  'a..b',
  '[::1]',
  'a b',
  'é.com',
];
const LONG_HOSTS = ['a'.repeat(64), `${'a'.repeat(63)}.b`];
const BLOCKS = [
  '10.0.0.0/8',
  '10.0.0.1/8',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '::/0',
  '::1',
  '::ffff:1.2.3.4',
  '::ffff:1.2.3.4/128',
  'fe80::1%eth0',
];
const MORE_BLOCKS = [
  '1.2.3',
  '01.2.3.4',
  '10.0.0.0/',
  '/8',
  '1.2.3.4/0',
  '2001:db8::/129',
  '2001:DB8::/32',
  '64:ff9b::1.2.3.4',
];
const ADDRESSES = [
  '10.0.0.1',
  '::1',
  'fe80::1%eth0',
  'a.b',
  '1.2.3',
  '256.1.1.1',
  '::ffff:1.2.3.4',
  'A',
  'a_b',
  '2001:DB8::1',
];
const DURATIONS = [
  '1s',
  '1m30s',
  '0s',
  '24h',
  '24h1ms',
  '1440m',
  '86401s',
  '99999h',
  '1.5s',
  '-1s',
  '1',
  '1S',
  'ms',
  '1h1h1h1h',
  '1us',
  '1d',
];
const PATHS = ['/a', '/', 'a', '/a?b', '/a#b', '/a b', '/é', '/%41', '/a"b', '/a\\b', '/~', '//', '/a|b'];
const NAMES = ['X-A', 'x a', '', 'x:', 'é', "x'y", 'x+y', 'host', 'Host', 'Te', 'x'.repeat(256), 'x'.repeat(257)];
const VALUES = ['', 'a', ' a', 'a\tb', 'a\nb', 'é', '\x7f', '\x01', ' '];
const PORTS = [0, 1, 65535, 65536, 'http', '80', 'a-b', '-a', 'a'.repeat(15), 'a'.repeat(16), 'A', 'a_b', 1.5, '1.5'];
const ORIGINS = [
  '*',
  'https://a',
  'https://a:1',
  'http://*.a',
  'https://a/',
  'null',
  'a',
  'HTTPS://a',
  'https://',
  'https://*',
  'https://a*b',
];
const METHODS = ['GET', 'get', '*', 'M-SEARCH', 'A B', '-A', ''];

const limit = (more: object): Edge =>
  policy({ rateLimit: { limits: [{ name: 'a', limit: 10, window: '1s', ...more }] } });

export const EDGES: readonly Edge[] = [
  ...[...HOSTS, ...LONG_HOSTS].map((host) => route({}, { hosts: [host] })),
  ...[...BLOCKS, ...MORE_BLOCKS].map((block) => match({ sources: [block] })),
  ...ADDRESSES.map((address) => backend({ hosts: [{ address, port: 80 }] })),
  ...DURATIONS.map((request) => route({ timeouts: { request } })),
  ...PATHS.map((exact) => match({ path: { exact } })),
  ...NAMES.map((name) => route({ headers: { request: { set: [{ name, value: 'a' }] } } })),
  ...VALUES.map((value) => route({ headers: { request: { set: [{ name: 'x', value }] } } })),
  ...PORTS.map((port) => backend({ service: { name: 'a', port } })),
  ...ORIGINS.map((origin) => policy({ cors: { allowOrigins: [origin] } })),
  ...METHODS.flatMap((method) => [
    match({ methods: [method] }),
    policy({ cors: { allowOrigins: ['*'], allowMethods: [method] } }),
  ]),
  ...[true, false].map((present) => match({ headers: [{ name: 'x', present }] })),
  match({ headers: [{ name: 'x' }] }),
  match({ headers: [{ name: 'x', exact: '' }] }),
  match({ headers: [{ name: 'x', exact: 'a', present: true }] }),
  ...[0, 2 ** 31, 2 ** 40, 2 ** 40 + 1].map((maxBodyBytes) => policy({ security: { maxBodyBytes } })),
  ...['0s', '26280h', '26281h', '8760h'].map((maxAge) => policy({ security: { hsts: { maxAge } } })),
  ...['8759h', '8760h'].map((maxAge) =>
    policy({ security: { hsts: { maxAge, preload: true, includeSubDomains: true } } }),
  ),
  route({ matches: [] }),
  route({}, { hosts: [] }),
  route({}, { gateway: '' }),
  { kind: 'Route', spec: { rules: [{ name: 'a', backends: [] }] } },
  route({ headers: {} }),
  route({ headers: { request: {} } }),
  route({ headers: { request: { set: [] } } }),
  route({ respond: { status: 199 } }),
  route({ respond: { status: 200, contentType: '' } }),
  route({ respond: { status: 200, contentType: 'text/plain\n' } }),
  route({ respond: { status: 200, body: 'x'.repeat(65_536) } }),
  route({ respond: { status: 200, body: 'x'.repeat(65_537) } }),
  ...['1ms', '0ms', '744h', '744h1ms', '31d', '1m1m', '99999h'].map((window) => limit({ window })),
  ...[0, 1, 1_000_000_000, 1_000_000_001].map((most) => limit({ limit: most })),
  ...[10, 11].map((fixed) => limit({ cost: { fixed } })),
  limit({ burst: 20, cost: { fixed: 20 } }),
  limit({ cost: { requestHeader: { name: 'x', default: 1, max: 11 } } }),
  limit({ cost: { responseHeader: { name: 'x', default: 0, max: 11 } } }),
  limit({ cost: {} }),
  limit({ overrides: [{ consumers: ['a'], limit: 1, window: '1m', burst: 3 }] }),
  limit({ algorithm: 'slidingWindow', overrides: [{ groups: ['a'], limit: 1, burst: 3 }] }),
  limit({ algorithm: 'concurrency', window: undefined, overrides: [{ groups: ['a'], limit: 1 }] }),
  limit({ algorithm: 'concurrency', window: undefined, overrides: [{ groups: ['a'], limit: 1, window: '1s' }] }),
  limit({ algorithm: 'concurrency', window: undefined, cost: { fixed: 1 } }),
  limit({ algorithm: 'concurrency', window: undefined, scope: 'global', store: 'redis' }),
  limit({ store: 'redis', scope: 'global', mode: 'leased' }),
  ...['address', 'consumer', 'claim', 'header'].flatMap((by) => [
    limit({ key: [{ by }] }),
    limit({ key: [{ by, name: 'x' }] }),
    limit({ key: [{ by, name: 'x y' }] }),
    limit({ key: [{ by, prefixV6: 64 }] }),
  ]),
  limit({ key: [{ by: 'address', prefixV4: 33 }] }),
  policy({ rateLimit: { limits: [] } }),
  policy({ timeout: {} }),
  policy({ transform: {} }),
  policy({ transform: { request: {} } }),
  backend({ hosts: [] }),
  backend({
    hosts: [
      { address: 'a', port: 1 },
      { address: 'a', port: 1 },
    ],
  }),
];

/** Regular expressions: those JavaScript can't run are the compiler's to refuse, so only one direction is asked of them. */
export const REGEXES: readonly Edge[] = [
  'a{2}{3} a** \\z \\A \\pL (?P<n>a) (?<n>a) (?i)a (?i:a) (?s:a) a{,5} a{1001} (a{100}){100} [[:alpha:]] [a-\\d] [\\d-a] [b-a] []a] [^]',
  'a|*b () (|a) \\x41 \\x{41} \\u0041 \\07 \\1 (a)\\1 \\cA \\C \\Q \\- \\_ \\é é a\\ ^a$ \\ba\\B .*? a?? a++ { } ] a{ a{1 a{1, x{1}{ \\$',
  '\\/ [\\b] [\\B] [.-a] [\\w-.] [a-] [-a] [a\\]b] (?:a \\v \\s [^\\S] \\h \\K (?=a) (?<!a) a{2,1} a{0} a{0,0} (a?){3} [&&] [[a]] [a[b]',
  '\\t \\a \\e \\0 \\d+ (?U:a) (?-i:a) (?^:a) (?<é>a) [\\é] \\" \\/',
].flatMap((text) => text.split(' ').map((pattern) => match({ path: { regex: pattern } })));
