/**
 * What the operator sets: TIDEGATE_* variables, each also a flag (`TIDEGATE_HTTP_PORT` is `--http-port`), which wins. All
 * mistakes are reported at once, each with the variable, what it may be and what it is.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  dnsServers,
  type Environment,
  FLAG,
  flag,
  integer,
  list,
  MILLISECONDS,
  milliseconds,
  oneOf,
  PORT,
  port,
  type Setting,
  setting,
  text,
  word,
} from './setting.ts';
import { type ListenerConfig, listenerConfigOf, listenerSettings } from './settings/listener.ts';
import { type ProxyProtocolConfig, proxyProtocolOf, proxyProtocolSettings } from './settings/proxy-protocol.ts';
import { storeSettings } from './settings/stores.ts';
import { readStoreLocation } from './store/credentials/location.ts';
import type { CredentialsSetup } from './store/credentials/open-credentials.ts';
import { isRedisUrl } from './store/redis/url.ts';
import { type TlsFiles, tlsOf } from './tls-files.ts';

const settings = {
  TIDEGATE_GATEWAY: setting(
    word(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
    'tidegate',
    'a name of lower-case letters, digits and dashes',
    'which installation this data plane serves (spec.gateway of the resources)',
  ),
  TIDEGATE_NODE_NAME: setting(
    text(1, 253),
    (env) => env.POD_NAME || hostname(),
    'a name of 1 to 253 characters',
    "unique name of this data plane (POD_NAME, else the host's name)",
  ),
  TIDEGATE_ZONE: setting(text(0, 253), '', 'at most 253 characters', 'topology zone of this data plane'),
  TIDEGATE_DNS_SERVERS: setting(
    dnsServers,
    '',
    'one or more addresses (10.0.0.10, 10.0.0.10:5353 or [fd00::10]:53), comma between them',
    "DNS servers for names of backends, which they are asked for as they stand; empty: the machine's, with its hosts file and search domains",
  ),
  ...listenerSettings,
  ...proxyProtocolSettings,
  TIDEGATE_ADMIN_HOST: setting(text(1), '127.0.0.1', 'an address', 'address of the admin pages'),
  TIDEGATE_ADMIN_PORT: setting(port, '9090', PORT, 'port of the admin pages; 0: any free port'),
  TIDEGATE_CONTROLLER: setting(
    list,
    '',
    'one or more addresses (host:port or unix:/path), comma between them',
    'where the controllers are; several addresses are tried in turn, a DNS name may have several',
  ),
  TIDEGATE_TLS_CERT: setting(
    text(0),
    '',
    'a file',
    'certificate shown to the controller (PEM); read again when it changes',
  ),
  TIDEGATE_TLS_KEY: setting(text(0), '', 'a file', 'its key (PEM)'),
  TIDEGATE_TLS_CA: setting(text(0), '', 'a file', "CA the controller's certificate must come from (PEM)"),
  TIDEGATE_TLS_SERVER_NAME: setting(
    text(0),
    '',
    'a DNS name',
    "name the controller's certificate must hold; empty: the one in the address",
  ),
  TIDEGATE_INSECURE_CONTROLLER: setting(
    flag,
    'false',
    FLAG,
    'speak without TLS to a controller on a loopback address (unix: needs no TLS anyway)',
  ),
  TIDEGATE_STATE_DIR: setting(text(1), '.tidegate', 'a folder', 'where the last good snapshot is kept; "off": nowhere'),
  TIDEGATE_LAST_GOOD_GRACE_MS: setting(
    milliseconds,
    '1000',
    MILLISECONDS,
    'how long to wait for a controller at start before serving the last good snapshot',
  ),
  TIDEGATE_WORKERS: setting(
    integer(0, 256),
    '0',
    '0 to 256',
    'worker threads; 0: one for each CPU this process may use (cgroup limit counts)',
  ),
  TIDEGATE_ACCESS_LOG: setting(
    text(1),
    'stdout',
    'off, stdout or a file',
    'where the access log goes: off, stdout or a file (opened again on SIGHUP)',
  ),
  TIDEGATE_ACCESS_LOG_QUERY: setting(
    flag,
    'false',
    FLAG,
    'write the query string to the access log (it may hold secrets)',
  ),
  TIDEGATE_LOG_LEVEL: setting(
    oneOf('debug', 'info', 'warn', 'error', 'silent'),
    'info',
    'debug, info, warn, error or silent',
    "level of the program's own log",
  ),
  TIDEGATE_DRAIN_GRACE_MS: setting(
    milliseconds,
    (env) => (env.KUBERNETES_SERVICE_HOST ? '5000' : '0'),
    MILLISECONDS,
    'how long to keep accepting after SIGTERM, while others learn that this one goes (5000 in a cluster)',
  ),
  TIDEGATE_DRAIN_DEADLINE_MS: setting(
    milliseconds,
    '30000',
    MILLISECONDS,
    'how long requests in flight may take after that before they are cut',
  ),
  TIDEGATE_DRAIN_STREAMS_MS: setting(
    milliseconds,
    (env) => (env.KUBERNETES_SERVICE_HOST ? '20000' : '1000'),
    MILLISECONDS,
    'over how much of that WebSockets, event streams and gRPC streams are ended, each at a random moment (20000 in a cluster)',
  ),
  TIDEGATE_LIMIT_KEYS: setting(
    integer(16, 16_777_216),
    '262144',
    '16 to 16777216',
    'keys of rate limits remembered at a time; 36 bytes each, taken as they are used',
  ),
  TIDEGATE_SHEDDING_DELAY_MS: setting(
    (raw) => (raw === '0' ? 0 : integer(20, 1000)(raw)),
    '250',
    '0, or milliseconds, 20 to 1000',
    "event-loop delay of a worker above which rules without a policy's shedding section turn requests away; 0: never",
  ),
  TIDEGATE_METRICS_MAX_ROUTES: setting(
    integer(0, 100_000),
    '1000',
    '0 to 100000',
    'routes with a label of their own in the metrics; the others are counted as "_other"',
  ),
  ...storeSettings,
};
type SettingName = keyof typeof settings;
type Values = { [K in SettingName]: (typeof settings)[K] extends Setting<infer T> ? T : never };

export interface Config {
  readonly gateway: string;
  readonly nodeName: string;
  readonly zone: string;
  /** For names of backends; null: as the machine resolves names. */
  readonly dnsServers: readonly string[] | null;
  readonly host: string;
  /** 0: any free port. */
  readonly httpPort: number;
  /** 0: no TLS listener. */
  readonly httpsPort: number;
  /** 0: no h2c listener. */
  readonly h2cPort: number;
  readonly adminHost: string;
  readonly adminPort: number;
  /** `host:port` or `unix:/path`, at least one. */
  readonly controllers: readonly string[];
  /** Null: without TLS (unix sockets, or loopback when the operator said so). */
  readonly tls: TlsFiles | null;
  /** Null: nothing is kept on disk. */
  readonly stateDir: string | null;
  readonly lastGoodGraceMs: number;
  readonly workers: number;
  readonly accessLog: AccessLogTarget;
  readonly accessLogQuery: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly drainGraceMs: number;
  readonly drainDeadlineMs: number;
  readonly drainStreamsMs: number;
  readonly limitKeys: number;
  /** 0: off. */
  readonly sheddingDelayMs: number;
  readonly maxRequests: number;
  readonly listener: ListenerConfig;
  readonly trustedHops: number;
  /** Empty: none. */
  readonly via: string;
  readonly proxyProtocol: ProxyProtocolConfig;
  readonly metricsMaxRoutes: number;
  /** Null: none is configured. */
  readonly credentials: CredentialsSetup | null;
  /** May hold a password. Null: none is configured. */
  readonly redisUrl: string | null;
  readonly redisTimeoutMs: number;
}

export type AccessLogTarget =
  | { readonly kind: 'off' }
  | { readonly kind: 'stdout' }
  | { readonly kind: 'file'; readonly path: string };

export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Flags win over the environment; an empty variable counts as not set. */
export function loadConfig(env: Environment, argv: readonly string[]): LoadedConfig {
  const errors: string[] = [];
  const flags = readFlags(argv, errors);
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(settings) as [SettingName, Setting<unknown>][]) {
    const given = flags[flagOf(name)] ?? (env[name] || undefined);
    const raw = given ?? fallbackOf(spec, env);
    const value = spec.read(raw);
    if (value !== undefined) values[name] = value;
    else
      errors.push(
        `${name} (or --${flagOf(name)}) must be ${spec.expects}; ${given === undefined ? 'it is not set' : spec.secret ? 'what it is may hold a password' : `it is ${JSON.stringify(given)}`}`,
      );
  }
  if (errors.length > 0) return { ok: false, errors };
  const complete = values as Values;
  const tls = tlsOf(complete, errors);
  const proxyProtocol = proxyProtocolOf(complete, errors);
  const redisUrl = secretOf('TIDEGATE_REDIS_URL', complete, isRedisUrl, errors);
  const credentials = secretOf('TIDEGATE_CREDENTIALS', complete, (held) => readStoreLocation(held) !== null, errors);
  if (errors.length > 0) return { ok: false, errors };
  return {
    ok: true,
    config: Object.freeze({ ...configOf(complete, tls, redisUrl, credentials), proxyProtocol }),
    warnings: unknownVariables(env),
  };
}

/** A misspelt variable that silently does nothing costs its author an afternoon; the controller's may stand in the same environment. */
function unknownVariables(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('TIDEGATE_') && !(name in settings) && !SERVICE_LINK.test(name))
    .map((name) => `${name} is not a variable of the data plane: see --help for the names`);
}

/** What a kubelet adds for a Service named tidegate-…. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$/;

function readFlags(argv: readonly string[], errors: string[]): Record<string, string> {
  const options = Object.fromEntries(Object.keys(settings).map((name) => [flagOf(name), { type: 'string' as const }]));
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values as Record<string, string>;
  } catch (error) {
    errors.push(`${(error as Error).message.split('.')[0]}: see --help`);
    return {};
  }
}

/** Set itself, or by a file that holds it. Null: neither. */
function secretOf(
  name: 'TIDEGATE_REDIS_URL' | 'TIDEGATE_CREDENTIALS',
  values: Values,
  isRight: (held: string) => boolean,
  errors: string[],
): string | null {
  const given = values[name];
  const file = values[`${name}_FILE`];
  if (file === '') return given === '' ? null : given;
  if (given !== '') errors.push(`${name} and ${name}_FILE are both set: unset one`);
  try {
    const held = readFileSync(file, 'utf8').trim();
    if (isRight(held)) return held;
    errors.push(`${name}_FILE: ${file} must hold ${settings[name].expects}`);
  } catch (error) {
    errors.push(`${name}_FILE: ${file} can't be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  return null;
}

function configOf(
  values: Values,
  tls: TlsFiles | null,
  redisUrl: string | null,
  credentials: string | null,
): Omit<Config, 'proxyProtocol'> {
  return {
    gateway: values.TIDEGATE_GATEWAY,
    nodeName: values.TIDEGATE_NODE_NAME,
    zone: values.TIDEGATE_ZONE,
    dnsServers: values.TIDEGATE_DNS_SERVERS.length === 0 ? null : values.TIDEGATE_DNS_SERVERS,
    host: values.TIDEGATE_HOST,
    httpPort: values.TIDEGATE_HTTP_PORT,
    httpsPort: values.TIDEGATE_HTTPS_PORT,
    h2cPort: values.TIDEGATE_H2C_PORT,
    adminHost: values.TIDEGATE_ADMIN_HOST,
    adminPort: values.TIDEGATE_ADMIN_PORT,
    controllers: values.TIDEGATE_CONTROLLER,
    tls,
    stateDir: values.TIDEGATE_STATE_DIR === 'off' ? null : values.TIDEGATE_STATE_DIR,
    lastGoodGraceMs: values.TIDEGATE_LAST_GOOD_GRACE_MS,
    // libuv counts the cgroup's CPU quota and the affinity mask.
    workers: values.TIDEGATE_WORKERS === 0 ? availableParallelism() : values.TIDEGATE_WORKERS,
    accessLog: accessLogOf(values.TIDEGATE_ACCESS_LOG),
    accessLogQuery: values.TIDEGATE_ACCESS_LOG_QUERY,
    logLevel: values.TIDEGATE_LOG_LEVEL,
    drainGraceMs: values.TIDEGATE_DRAIN_GRACE_MS,
    drainDeadlineMs: values.TIDEGATE_DRAIN_DEADLINE_MS,
    drainStreamsMs: values.TIDEGATE_DRAIN_STREAMS_MS,
    limitKeys: values.TIDEGATE_LIMIT_KEYS,
    sheddingDelayMs: values.TIDEGATE_SHEDDING_DELAY_MS,
    maxRequests: values.TIDEGATE_MAX_REQUESTS,
    listener: listenerConfigOf(values),
    trustedHops: values.TIDEGATE_TRUSTED_HOPS,
    via: values.TIDEGATE_VIA,
    metricsMaxRoutes: values.TIDEGATE_METRICS_MAX_ROUTES,
    redisUrl,
    redisTimeoutMs: values.TIDEGATE_REDIS_TIMEOUT_MS,
    credentials:
      credentials === null ? null : { location: credentials, staleForMs: values.TIDEGATE_CREDENTIALS_STALE_FOR_MS },
  };
}

function accessLogOf(value: string): AccessLogTarget {
  return value === 'off' || value === 'stdout' ? { kind: value } : { kind: 'file', path: value };
}

function flagOf(name: string): string {
  return name.slice('TIDEGATE_'.length).toLowerCase().replaceAll('_', '-');
}

function fallbackOf(spec: Setting<unknown>, env: Environment): string {
  return typeof spec.fallback === 'function' ? spec.fallback(env) : spec.fallback;
}

/** The text of `--help`. */
export function helpText(env: Environment): string {
  const rows = (Object.entries(settings) as [SettingName, Setting<unknown>][]).map(([name, spec]) => {
    const fallback = fallbackOf(spec, env);
    return `  ${name.padEnd(30)} --${flagOf(name).padEnd(22)} ${fallback === '' ? '' : `[${fallback}] `}${spec.help}`;
  });
  return [
    'Tidegate data plane: executes the snapshots a Tidegate controller sends.',
    '',
    'Set variables, or flags, which win. [default]',
    ...rows,
    '',
    'SIGTERM, SIGINT: drain and exit; the same signal again: exit at once. SIGHUP: open the access log file again.',
    '',
  ].join('\n');
}
