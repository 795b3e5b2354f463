/** Run as a program: `node fastify-program.ts <port> <upstream URL>`. */
import proxy from '@fastify/http-proxy';
import Fastify from 'fastify';

const [port, upstream] = process.argv.slice(2);
if (port === undefined || upstream === undefined) throw new Error('usage: fastify-program.ts <port> <upstream>');

const app = Fastify({ logger: false, keepAliveTimeout: 300_000 });
app.register(proxy, { upstream, undici: { connections: 128, pipelining: 1, keepAliveTimeout: 300_000 } });
await app.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
