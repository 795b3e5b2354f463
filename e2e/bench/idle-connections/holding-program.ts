/** Opens kept connections and holds them: `node holding-program.ts URL COUNT`. Each has had one answer; prints `held` then, and ends with its stdin. */
import { once } from 'node:events';
import net from 'node:net';

const [url = '', count] = process.argv.slice(2);
const { hostname, port, pathname, host } = new URL(url);
const text = `GET ${pathname} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
/** Opened at the same time. */
const BESIDE = 50;

let left = Number(count);
let closed = 0;
const held: net.Socket[] = [];

async function opener(): Promise<void> {
  while (left > 0) {
    left--;
    const socket = net.connect({ host: hostname, port: Number(port) });
    socket.on('error', () => {});
    socket.on('close', () => closed++);
    await once(socket, 'connect');
    socket.write(text);
    await once(socket, 'data');
    held.push(socket);
  }
}

await Promise.all(Array.from({ length: BESIDE }, opener));
console.log('held');
for await (const _ of process.stdin);
console.log(`closed ${closed}`);
for (const socket of held) socket.destroy();
