/** A backend that speaks TLS itself, with the certificate of the Secret mounted at /etc/tls: says which pod answered and by what server name it was asked. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { TLSSocket } from 'node:tls';

const pod = process.env.POD_NAME ?? 'tls';
const read = (file: string) => readFileSync(`/etc/tls/${file}`);
https
  .createServer({ cert: read('tls.crt'), key: read('tls.key') }, (request, response) => {
    request.resume();
    const { servername } = request.socket as TLSSocket & { servername?: string | false };
    response.setHeader('x-pod', pod);
    response.end(JSON.stringify({ pod, servername: servername ?? null, headers: request.headers }));
  })
  .listen(Number(process.env.PORT ?? '8443'));
process.on('SIGTERM', () => process.exit(0));
