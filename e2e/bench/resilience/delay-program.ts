/** Backends that take their time, run as a program: `node delay-program.ts PORT ADDRESS:MS …`. Each answers 200 after so many ms. */
import { createServer } from 'node:http';

const [port, ...endpoints] = process.argv.slice(2);
if (endpoints.length === 0) throw new Error('usage: delay-program.ts PORT ADDRESS:MS …');
for (const endpoint of endpoints) {
  const [address, delayMs] = endpoint.split(':');
  const server = createServer((_request, response) => {
    setTimeout(() => response.end('ok'), Number(delayMs));
  });
  server.keepAliveTimeout = 300_000;
  server.listen({ host: address, port: Number(port), backlog: 4096 });
}
