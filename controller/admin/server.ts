/** Health, metrics and what this replica knows, over plain HTTP for the operator's eyes: nothing here changes anything. */
import { type FastifyInstance, fastify } from 'fastify';
import type { EffectiveRule } from '../compile/effective.ts';
import { ControllerError } from '../errors.ts';
import type { Fleet } from '../push/fleet.ts';
import type { History } from '../push/history.ts';
import type { StatusBoard } from '../status/board.ts';
import { statusOf } from './status.ts';

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly fleet: Fleet;
  readonly history: History;
  readonly board: StatusBoard;
  /** Which policy decides what for each rule of a Route; null: there is no such Route. */
  readonly effective: (namespace: string, route: string) => readonly EffectiveRule[] | null;
  /** Undefined when ready, else what it waits for. */
  readonly waitingFor: () => string | undefined;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

export class AdminServer {
  readonly #options: AdminOptions;
  readonly #server: FastifyInstance;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = fastify({
      logger: false,
      bodyLimit: 1024,
      connectionTimeout: 30_000,
      requestTimeout: 10_000,
      forceCloseConnections: true,
    });
    this.#routes();
  }

  /** Throws ControllerError CTL_LISTEN. Resolves with the port. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    try {
      await this.#server.listen({ host, port });
    } catch (cause) {
      throw new ControllerError('CTL_LISTEN', `can't listen on ${host}:${port}`, { cause });
    }
    const address = this.#server.server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }

  #routes(): void {
    const { fleet, history, board, effective, waitingFor, metrics } = this.#options;
    this.#server.get('/healthz', async () => ({ status: 'ok' }));
    this.#server.get('/readyz', async (_request, reply) => {
      const missing = waitingFor();
      if (missing === undefined) return { status: 'ready' };
      return reply.code(503).send({ status: 'not ready', waitingFor: missing });
    });
    this.#server.get('/metrics', async (_request, reply) => {
      const { contentType, text } = await metrics();
      return reply.header('content-type', contentType).send(text);
    });
    this.#server.get('/api/v1/status', async () => statusOf(fleet, history, board));
    this.#server.get<{ Params: { namespace: string; name: string } }>(
      '/api/v1/routes/:namespace/:name/policies',
      async ({ params: { namespace, name } }, reply) => {
        const rules = effective(namespace, name);
        if (rules !== null) return { rules };
        return reply.code(404).send({ error: `this installation serves no Route ${namespace}/${name}` });
      },
    );
    this.#server.get('/api/v1/objects', async () => ({ objects: objectsOf(board) }));
  }
}

/** Every object of this installation with what became of it. Secrets are not among them, and no spec is shown. */
function objectsOf(board: StatusBoard) {
  return [...board.keys()].sort().flatMap((key) => {
    const desired = board.desired(key);
    if (desired === undefined) return [];
    const { ref, generation, conditions, fields } = desired;
    const problems = (board.outcome(key)?.problems ?? []).map(({ path, reason, message }) => ({
      path,
      reason,
      message,
    }));
    return [{ kind: ref.kind, namespace: ref.namespace, name: ref.name, generation, ...fields, conditions, problems }];
  });
}
