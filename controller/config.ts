/** The process's configuration: flags win over TIDEGATE_* variables; every mistake is told at once. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ControllerError } from './errors.ts';
import { LOG_LEVELS } from './log.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().min(0).max(86_400_000);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const flag = z.enum(['true', 'false', '1', '0', '']).transform((text) => text === 'true' || text === '1');
const address = z.string().regex(/^(unix:.+|(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5})$/, 'must be host:port or unix:/path');

/** Flag name without dashes, help text, and the schema of its text. The variable is TIDEGATE_ and the name in capitals. */
const settings = {
  source: {
    schema: z.enum(['files', 'kubernetes']).default('kubernetes'),
    help: 'where objects come from: files or kubernetes',
  },
  dir: { schema: z.string().default(''), help: 'folder of YAML files (source files)' },
  gateway: {
    schema: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be a name as in spec.gateway')
      .default('tidegate'),
    help: 'serve the objects whose spec.gateway is this',
  },
  namespaces: { schema: list.default([]), help: 'watch these namespaces only, comma-separated (default: all)' },
  secrets: { schema: flag.default(false), help: 'watch Secrets too: true or false' },
  'secret-selector': { schema: z.string().default(''), help: 'label selector of the Secrets to watch' },
  kubeconfig: {
    schema: z.string().default(''),
    help: "kubeconfig file (default: the pod's service account, else $KUBECONFIG)",
  },
  listen: {
    schema: address.default('0.0.0.0:9443'),
    help: 'where data planes and peers connect: host:port or unix:/path',
  },
  insecure: { schema: flag.default(false), help: 'serve without TLS; on loopback only' },
  'tls-cert': { schema: z.string().default(''), help: 'certificate for data planes and peers (PEM file)' },
  'tls-key': { schema: z.string().default(''), help: 'its key (PEM file)' },
  'tls-ca': {
    schema: z.string().default(''),
    help: 'authority that has to have signed the certificates of clients (PEM file)',
  },
  'tls-dataplane-names': {
    schema: list.default([]),
    help: 'DNS names of client certificates that may subscribe (default: any of the authority)',
  },
  'tls-peer-names': {
    schema: list.default([]),
    help: 'DNS names of client certificates that may be a peer (default: any of the authority)',
  },
  'tls-server-name': {
    schema: z.string().default(''),
    help: "DNS name in a peer's certificate, as peers are dialled by address",
  },
  replica: {
    schema: z.string().max(253).default(''),
    help: 'name of this replica (default: the host name, in a pod its name)',
  },
  namespace: { schema: z.string().default(''), help: "namespace of the installation (default: the pod's)" },
  peers: { schema: list.default([]), help: 'addresses of the other replicas, host:port, comma-separated' },
  'peer-service': {
    schema: z.string().default(''),
    help: 'headless Service of the controllers: its EndpointSlices name the peers',
  },
  'leader-election': {
    schema: flag.default(true),
    help: 'write status only while holding the Lease; false: always (one replica)',
  },
  'lease-name': { schema: z.string().default('tidegate-controller'), help: 'name of the Lease' },
  'lease-duration-ms': { schema: milliseconds.default(15_000), help: 'a leader silent for this long is replaced' },
  'lease-renew-ms': {
    schema: milliseconds.default(10_000),
    help: 'a leader that could not renew for this long steps down',
  },
  'lease-retry-ms': {
    schema: milliseconds.default(2_000),
    help: 'time between two attempts to renew or to take the Lease',
  },
  'admin-host': { schema: z.string().default('127.0.0.1'), help: 'address of /metrics, /readyz and the status API' },
  'admin-port': { schema: port.default(9091), help: 'its port' },
  'metrics-api-port': { schema: port.default(0), help: 'port of custom.metrics.k8s.io; 0 switches it off' },
  'metrics-api-host': { schema: z.string().default('0.0.0.0'), help: 'its address' },
  'metrics-api-cert': { schema: z.string().default(''), help: 'its serving certificate (PEM file)' },
  'metrics-api-key': { schema: z.string().default(''), help: 'its key (PEM file)' },
  'max-stream-age-ms': {
    schema: milliseconds.default(0),
    help: 'end a stream at 1 to 1.2 times this age, so that data planes spread; 0: never',
  },
  'log-level': { schema: z.enum(LOG_LEVELS).default('info'), help: LOG_LEVELS.join(', ') },
} as const;

type Name = keyof typeof settings;
type Values = { [K in Name]: z.output<(typeof settings)[K]['schema']> };

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly authorityFile: string;
}

export interface Config {
  readonly source:
    | { readonly kind: 'files'; readonly dir: string }
    | { readonly kind: 'kubernetes'; readonly kubeconfig: string };
  readonly gateway: string;
  readonly namespaces: readonly string[];
  readonly secrets: { readonly enabled: boolean; readonly selector: string };
  readonly listen: string;
  readonly insecure: boolean;
  readonly tls: TlsFiles | null;
  readonly dataPlaneNames: readonly string[];
  readonly peerNames: readonly string[];
  readonly serverName: string;
  readonly replica: string;
  /** Empty with files, never with Kubernetes. */
  readonly namespace: string;
  readonly peers: readonly string[];
  readonly peerService: string;
  /** Null: no election, this replica writes status. */
  readonly lease: {
    readonly name: string;
    readonly durationMs: number;
    readonly renewMs: number;
    readonly retryMs: number;
  } | null;
  readonly admin: { readonly host: string; readonly port: number };
  /** Null: not served. */
  readonly metricsApi: {
    readonly host: string;
    readonly port: number;
    readonly certificateFile: string;
    readonly keyFile: string;
  } | null;
  readonly maxStreamAgeMs: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

export type Invocation =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'help'; readonly text: string };

/** `args` without node and script. Throws ControllerError CTL_CONFIG whose message has one mistake a line. */
export function readConfig(args: readonly string[], env: NodeJS.ProcessEnv): Invocation {
  const mistakes: string[] = [];
  const { flags, help } = readFlags(args, mistakes);
  if (help) return { kind: 'help', text: helpText() };
  const values = {} as Record<string, unknown>;
  for (const [name, { schema }] of Object.entries(settings)) {
    const variable = variableOf(name);
    const text = flags[name] ?? env[variable];
    // An empty variable is how a manifest says "not set".
    const parsed = schema.safeParse(text === '' && flags[name] === undefined ? undefined : text);
    if (parsed.success) values[name] = parsed.data;
    else {
      for (const issue of parsed.error.issues) {
        mistakes.push(`${flags[name] === undefined ? variable : `--${name}`}: ${issue.message}`);
      }
    }
  }
  if (mistakes.length === 0)
    mistakes.push(...contradictions(values as unknown as Values, namespaceOf(values as unknown as Values, env)));
  if (mistakes.length > 0) {
    throw new ControllerError(
      'CTL_CONFIG',
      `the configuration has ${mistakes.length === 1 ? 'a mistake' : 'mistakes'}:\n${mistakes.map((m) => `  ${m}`).join('\n')}`,
    );
  }
  return { kind: 'run', config: assemble(values as unknown as Values, env) };
}

function readFlags(
  args: readonly string[],
  mistakes: string[],
): { flags: Record<string, string | undefined>; help: boolean } {
  const options = Object.fromEntries(Object.keys(settings).map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...options, help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags: Record<string, string | undefined> = {};
  let help = false;
  for (const token of tokens ?? []) {
    if (token.kind === 'positional') mistakes.push(`"${token.value}": only --name value is understood`);
    if (token.kind !== 'option') continue;
    if (token.name === 'help' || token.name === 'h') help = true;
    else if (!Object.hasOwn(settings, token.name))
      mistakes.push(`--${token.name}: there is no such flag (--help lists them)`);
    else if (token.value === undefined) mistakes.push(`--${token.name}: needs a value`);
    else flags[token.name] = token.value;
  }
  return { flags, help };
}

function contradictions(values: Values, namespace: string): string[] {
  const mistakes: string[] = [];
  const tls = [values['tls-cert'], values['tls-key'], values['tls-ca']];
  const given = tls.filter((file) => file !== '').length;
  if (given !== 0 && given !== 3) mistakes.push('--tls-cert, --tls-key and --tls-ca belong together');
  const socket = values.listen.startsWith('unix:');
  if (!socket && given === 0 && !values.insecure) {
    mistakes.push(
      '--listen: a port needs --tls-cert, --tls-key and --tls-ca (or a unix: socket, or --insecure true on loopback)',
    );
  }
  if (given === 3 && (values['peer-service'] !== '' || values.peers.length > 0) && values['tls-server-name'] === '') {
    mistakes.push('--tls-server-name: peers are dialled by address, so their certificate needs a name to hold');
  }
  if (values['peer-service'] !== '' && values.source === 'files') {
    mistakes.push('--peer-service: needs a cluster, so --source kubernetes (--peers names addresses)');
  }
  if (values.source === 'files' && values.dir === '') mistakes.push('--dir: source files needs a folder');
  if (values.source === 'kubernetes' && namespace === '') {
    mistakes.push(
      '--namespace: is needed with --source kubernetes (in a pod, give it POD_NAMESPACE by the downward API)',
    );
  }
  if (values['lease-retry-ms'] >= values['lease-renew-ms'] || values['lease-renew-ms'] >= values['lease-duration-ms']) {
    mistakes.push('--lease-duration-ms must be longer than --lease-renew-ms, and that longer than --lease-retry-ms');
  }
  if (values['metrics-api-port'] !== 0 && (values['metrics-api-cert'] === '' || values['metrics-api-key'] === '')) {
    mistakes.push('--metrics-api-port: needs --metrics-api-cert and --metrics-api-key');
  }
  if (values['metrics-api-port'] !== 0 && values.source === 'files') {
    mistakes.push('--metrics-api-port: needs a cluster, so --source kubernetes');
  }
  return mistakes;
}

function assemble(values: Values, env: NodeJS.ProcessEnv): Config {
  const inCluster = values.source === 'kubernetes';
  return {
    source: inCluster ? { kind: 'kubernetes', kubeconfig: values.kubeconfig } : { kind: 'files', dir: values.dir },
    gateway: values.gateway,
    namespaces: values.namespaces,
    secrets: { enabled: values.secrets, selector: values['secret-selector'] },
    listen: values.listen,
    insecure: values.insecure,
    tls:
      values['tls-cert'] === ''
        ? null
        : { certificateFile: values['tls-cert'], keyFile: values['tls-key'], authorityFile: values['tls-ca'] },
    dataPlaneNames: values['tls-dataplane-names'].map((name) => name.toLowerCase()),
    peerNames: values['tls-peer-names'].map((name) => name.toLowerCase()),
    serverName: values['tls-server-name'],
    replica: values.replica === '' ? (env.POD_NAME ?? hostname()) : values.replica,
    namespace: namespaceOf(values, env),
    peers: values.peers,
    peerService: values['peer-service'],
    lease:
      inCluster && values['leader-election']
        ? {
            name: values['lease-name'],
            durationMs: values['lease-duration-ms'],
            renewMs: values['lease-renew-ms'],
            retryMs: values['lease-retry-ms'],
          }
        : null,
    admin: { host: values['admin-host'], port: values['admin-port'] },
    metricsApi:
      values['metrics-api-port'] === 0
        ? null
        : {
            host: values['metrics-api-host'],
            port: values['metrics-api-port'],
            certificateFile: values['metrics-api-cert'],
            keyFile: values['metrics-api-key'],
          },
    maxStreamAgeMs: values['max-stream-age-ms'],
    logLevel: values['log-level'],
  };
}

/** Who may set policies for the whole gateway depends on it, so it is never guessed. */
function namespaceOf(values: Values, env: NodeJS.ProcessEnv): string {
  return values.namespace === '' ? (env.POD_NAMESPACE ?? '') : values.namespace;
}

function variableOf(name: string): string {
  return `TIDEGATE_${name.toUpperCase().replaceAll('-', '_')}`;
}

function helpText(): string {
  const rows = Object.entries(settings).map(([name, { schema, help }]) => {
    const fallback = schema.safeParse(undefined).data;
    const shown = Array.isArray(fallback) || fallback === '' ? '' : ` [${fallback}]`;
    return `  --${name.padEnd(22)} ${help}${shown}`;
  });
  return `tidegate controller: compiles Routes, Backends and Policies and pushes them to the data planes.

Every flag is also a variable: --admin-port is TIDEGATE_ADMIN_PORT. Flags win.

${rows.join('\n')}
`;
}
