/** Finds out before anything starts whether the ports a run needs are free. */
import net from 'node:net';

export interface PortNeed {
  readonly port: number;
  readonly host: string;
  /** What it is for, as the user knows it: `gateway`. */
  readonly purpose: string;
  /** How to choose another one: `--port`. */
  readonly option: string;
}

/** The sentences to show for those that are taken; empty when all are free. */
export async function takenPorts(needs: readonly PortNeed[]): Promise<string[]> {
  const answers = await Promise.all(needs.map(async (need) => ({ need, code: await tryListen(need) })));
  return answers.flatMap(({ need, code }) => {
    if (code === null) return [];
    const why = code === 'EADDRINUSE' ? 'is in use by another program' : `can't be opened (${code})`;
    return [
      `${need.host}:${need.port} (${need.purpose}) ${why}: stop that program or choose another with ${need.option}`,
    ];
  });
}

/** Null when the port could be opened, else the error's code. */
function tryListen(need: PortNeed): Promise<string | null> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown error'));
    server.listen({ port: need.port, host: need.host, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
