/**
 * How this process gets at the API server: the pod's service account, or a kubeconfig file.
 *
 * In a pod that is two files and two variables, read here: loading @kubernetes/client-node with its generated API would cost
 * every controller half a second and some 70 MB. A kubeconfig can hold much more (exec plugins, OIDC, client certificates):
 * there the library does it.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import type { ApiCredentials, CredentialsSource } from './api-server.ts';
import { ControllerError } from './errors.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews the token well before it runs out (at 80 % of its life, and at least every day). */
const REFRESH_MS = 20_000;

/** `kubeconfig` empty: the service account if there is one, else $KUBECONFIG or ~/.kube/config. */
export async function apiCredentials(
  kubeconfig: string,
  env: NodeJS.ProcessEnv,
  serviceAccount: string = SERVICE_ACCOUNT,
): Promise<CredentialsSource> {
  const host = env.KUBERNETES_SERVICE_HOST;
  if (kubeconfig === '' && host !== undefined && existsSync(`${serviceAccount}/token`)) {
    const server = `https://${isIPv6(host) ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`;
    return refreshed(() => fromServiceAccount(server, serviceAccount));
  }
  return refreshed(await fromKubeconfig(kubeconfig));
}

async function fromServiceAccount(server: string, folder: string): Promise<ApiCredentials> {
  const [token, ca] = await Promise.all([readFile(`${folder}/token`, 'utf8'), readFile(`${folder}/ca.crt`, 'utf8')]);
  return {
    server,
    ca,
    cert: undefined,
    key: undefined,
    serverName: undefined,
    skipVerify: false,
    authorization: `Bearer ${token.trim()}`,
  };
}

async function fromKubeconfig(file: string): Promise<CredentialsSource> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    if (file === '') config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (cause) {
    throw new ControllerError('CTL_CONFIG', `can't read the kubeconfig ${file}`, { cause });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new ControllerError('CTL_CONFIG', 'the kubeconfig names no current cluster');
  return async () => {
    const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
    await config.applyToHTTPSOptions(options);
    const headers = (options.headers ?? {}) as Record<string, string | undefined>;
    const basic =
      typeof options.auth === 'string' ? `Basic ${Buffer.from(options.auth).toString('base64')}` : undefined;
    return {
      server: cluster.server,
      ca: pem(options.ca),
      cert: pem(options.cert),
      key: pem(options.key),
      serverName: cluster.tlsServerName,
      skipVerify: cluster.skipTLSVerify === true,
      authorization: headers.Authorization ?? headers.authorization ?? basic,
    };
  };
}

function pem(value: unknown): string | undefined {
  return typeof value === 'string' || Buffer.isBuffer(value) ? value.toString() : undefined;
}

/** Asks `source` again after REFRESH_MS; while that fails, what was there before stays. */
function refreshed(source: CredentialsSource): CredentialsSource {
  let held: { readonly value: ApiCredentials; readonly atMs: number } | null = null;
  return async () => {
    const nowMs = performance.now();
    if (held !== null && nowMs - held.atMs < REFRESH_MS) return held.value;
    try {
      held = { value: await source(), atMs: nowMs };
    } catch (error) {
      if (held === null) throw error;
    }
    return held.value;
  };
}
