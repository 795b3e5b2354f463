/** The compiled programs, a controller with files and one data plane with one worker, and how endpoints look to it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok, startController, startDataPlane, throwIfRefused } from '../bench/peers/tidegate.ts';
import { freePorts } from '../bench/ports.ts';
import { type Programs, untilReady } from '../bench/programs.ts';

export interface EndpointLook {
  /** `address:port` */
  readonly name: string;
  /** Why it gets no requests: unhealthy, ejected, open. */
  readonly blocked: readonly string[];
}

export interface Gateway {
  readonly url: string;
  /** The endpoints of a Backend of namespace chaos, as /debug/config has them. */
  endpoints(backend: string): Promise<readonly EndpointLook[]>;
}

/** Resolves when it is ready. `dir`: short, a socket lies in it. Throws where the controller refuses an object. */
export async function startGateway(
  programs: Programs,
  dir: string,
  objects: Readonly<Record<string, string>>,
): Promise<Gateway> {
  const files = join(dir, 'config');
  mkdirSync(files);
  for (const [name, text] of Object.entries(objects)) writeFileSync(join(files, name), text);
  const [port = 0, adminPort = 0] = await freePorts(2);
  await startController({ programs, dir, files });
  throwIfRefused(dir);
  const options = { programs, dir, port, adminPort, workers: 1, accessLog: join(dir, 'access.log') };
  const { program, url, readyUrl } = await startDataPlane(options);
  await untilReady(program, () => ok(readyUrl));
  return { url, endpoints: (backend) => endpointsOf(`http://127.0.0.1:${adminPort}/debug/config`, backend) };
}

interface ConfigPage {
  readonly worker: {
    readonly backends: readonly { readonly id: string; readonly states: readonly EndpointLook[] }[];
  };
}

async function endpointsOf(url: string, backend: string): Promise<readonly EndpointLook[]> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  const page = (await answer.json()) as ConfigPage;
  return page.worker.backends.find(({ id }) => id.endsWith(`chaos/${backend}`))?.states ?? [];
}
