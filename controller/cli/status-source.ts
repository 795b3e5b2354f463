/** Fetches the status document from a controller's admin API, directly or through a Kubernetes API server. */
import type { Status } from '../admin/status.ts';

const TIMEOUT_MS = 5000;

export interface StatusFrom {
  readonly url: string;
  readonly kube?: boolean;
  readonly namespace: string;
  readonly release: string;
}

/** Throws an Error whose message says what to do. */
export async function fetchStatus(from: StatusFrom): Promise<Status> {
  return from.kube === true ? await throughApiServer(from) : await direct(from.url);
}

async function direct(url: string): Promise<Status> {
  const target = new URL('/api/v1/status', url);
  let answer: Response;
  try {
    answer = await fetch(target, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const reason = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? (error as Error).message;
    throw new Error(
      `no controller answers at ${url} (${reason}): start one with \`tidegate run\`, name it with --url, or use --kube`,
    );
  }
  if (!answer.ok) throw new Error(`the controller at ${url} answered ${answer.status} for ${target.pathname}`);
  return (await answer.json()) as Status;
}

async function throughApiServer(from: StatusFrom): Promise<Status> {
  const { CoreV1Api, KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromDefault();
  const name = `${from.release}-controller`;
  try {
    const text: unknown = await config.makeApiClient(CoreV1Api).connectGetNamespacedServiceProxyWithPath({
      name: `http:${name}:admin`,
      namespace: from.namespace,
      path: 'api/v1/status',
    });
    return (typeof text === 'string' ? JSON.parse(text) : text) as Status;
  } catch (error) {
    const code = (error as { code?: number }).code;
    const why = code === undefined ? (error as Error).message : `the API server answered ${code}`;
    throw new Error(
      `can't reach service ${name} in namespace ${from.namespace} (${why}): is the release installed there (--namespace, --release), ` +
        'and may you get services/proxy?',
    );
  }
}
