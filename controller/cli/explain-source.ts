/** Asks a data plane's admin server to explain a request, directly or through a Kubernetes API server's pod proxy. */
import type { Explanation } from '@tidegate/dataplane/snapshot/explain';
import { apiCredentials } from '../api-credentials.ts';
import { ApiServer, ApiStatusError } from '../api-server.ts';

/** ExplainRequest of the contract, before its defaults. */
export interface ExplainQuestion {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly address?: string;
  readonly backend?: string;
}

export interface ExplainFrom {
  readonly url: string;
  readonly kube?: boolean;
  readonly pod?: string;
  readonly namespace: string;
  readonly release: string;
}

/** Stages of the data plane may have to ask others first; it gives up before. */
const TIMEOUT_MS = 10_000;
const PAGE = '/debug/explain';

/** Throws an Error whose message says what to do. */
export async function askDataPlane(question: ExplainQuestion, from: ExplainFrom): Promise<Explanation> {
  return from.kube === true ? await throughApiServer(question, from) : await direct(question, from.url);
}

async function direct(question: ExplainQuestion, url: string): Promise<Explanation> {
  let answer: Response;
  try {
    answer = await fetch(new URL(PAGE, url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(question),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    const reason = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? (error as Error).message;
    throw new Error(
      `no data plane answers at ${url} (${reason}): start one with \`tidegate run\`, name its admin address with --url, or use --kube`,
    );
  }
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text) as Explanation;
  throw new Error(refusal(answer.status, text, `the data plane at ${url}`));
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: {
      readonly containers: readonly { readonly ports?: readonly { name?: string; containerPort: number }[] }[];
    };
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }[];
}

async function throughApiServer(question: ExplainQuestion, from: ExplainFrom): Promise<Explanation> {
  const { namespace, release } = from;
  const api = new ApiServer(await apiCredentials('', {}));
  const pods = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
  try {
    const labelSelector = `app.kubernetes.io/instance=${release},app.kubernetes.io/component=dataplane`;
    const { items } = await api.request<PodList>({ path: pods, query: { labelSelector }, timeoutMs: TIMEOUT_MS });
    const pod = items.find(({ metadata, status }) =>
      from.pod === undefined
        ? status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true
        : metadata.name === from.pod,
    );
    if (pod === undefined) {
      const which = from.pod === undefined ? 'no ready data plane' : `no data plane ${from.pod}`;
      const there = items.map(({ metadata }) => metadata.name).join(', ');
      const has = there === '' ? 'is it installed there (--namespace, --release)?' : `there are ${there}`;
      throw new Error(`${which} of release ${release} in namespace ${namespace}: ${has}`);
    }
    // The proxy of pods takes numbers only.
    const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
    const port = ports.find(({ name }) => name === 'admin')?.containerPort ?? 9090;
    const path = `${pods}/http:${pod.metadata.name}:${port}/proxy${PAGE}`;
    return await api.request<Explanation>({ method: 'POST', path, body: question, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof ApiStatusError)) throw error;
    const at = error.message.indexOf('{');
    const told = at < 0 ? '' : error.message.slice(at);
    const what = `the data planes of release ${release} in namespace ${namespace}`;
    throw new Error(refusal(error.status, told, what, 'may you list pods and create pods/proxy there?'));
  } finally {
    await api.close();
  }
}

/** What a data plane or an API server said with an error status. */
function refusal(status: number, text: string, who: string, hint = ''): string {
  let error: unknown;
  try {
    ({ error } = JSON.parse(text) as { error?: unknown });
  } catch {
    // The status says enough.
  }
  if (status === 400 && typeof error === 'string') return error;
  if (status === 404 && hint === '') return `${who} has no ${PAGE}: is it the admin address of a data plane (--url)?`;
  const why = typeof error === 'string' ? error : `answered ${status}`;
  return `can't ask ${who} (${why})${hint === '' ? '' : `: ${hint}`}`;
}
