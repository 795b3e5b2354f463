/** `@fastify/http-proxy`, what a Node developer reaches for first: one process, undici pool to the backend, no logger. */
import { join } from 'node:path';
import { type Peer, urlOf } from './peer.ts';

export const fastify: Peer = {
  name: '@fastify/http-proxy',
  about: '1 process, undici pool of 128, no logger',
  needs: [],
  start: async (context) =>
    context.programs.start('@fastify/http-proxy', process.execPath, {
      args: [join(import.meta.dirname, 'fastify-program.ts'), String(context.port), urlOf(context.endpoints[0])],
      core: context.core,
      env: { NODE_ENV: 'production' },
      logFile: join(context.dir, 'out.log'),
    }),
};
