/**
 * SRV records with their TTL, which node:dns does not tell: a question by UDP (RFC 1035 section 4.2.1), by TCP where the answer was
 * cut. The port is chosen by the kernel, the id at random, and an answer must come from the server asked and repeat the question (RFC 5452).
 */
import { randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import packet, { type DecodedPacket, type OptAnswer } from 'dns-packet';
import { type Answer, MAX_RECORDS, type ServiceRecord } from './answer.ts';

export interface ServiceQueryOptions {
  /** As `dns.getServers()` gives them: `10.0.0.10`, `127.0.0.1:5353`, `[::1]:53`. Asked in turn. */
  readonly servers: readonly string[];
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** Rounds over all servers. */
  readonly tries: number;
  readonly signal: AbortSignal;
}

interface Server {
  readonly host: string;
  readonly port: number;
}

const RCODES_NONE = 'NXDOMAIN';
/** Some networks lose larger datagrams (RFC 9715). */
const UDP_PAYLOAD_BYTES = 1232;
const EDNS: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_PAYLOAD_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};
const MAX_TCP_BYTES = 65_535;

export async function queryServices(name: string, options: ServiceQueryOptions): Promise<Answer<ServiceRecord[]>> {
  let code = 'ENOSERVER';
  for (let round = 0; round < options.tries; round++) {
    for (const written of options.servers) {
      if (options.signal.aborted) return { kind: 'failed', code: 'ETIMEOUT' };
      try {
        const reply = await ask(name, serverOf(written), options);
        const rcode = (reply as { rcode?: string }).rcode ?? '';
        if (rcode === RCODES_NONE) return { kind: 'none' };
        if (rcode === 'NOERROR') return answerOf(reply);
        code = `E${rcode}`;
      } catch (error) {
        code = (error as NodeJS.ErrnoException).code ?? 'EBADRESP';
      }
    }
  }
  return { kind: 'failed', code };
}

function answerOf(reply: DecodedPacket): Answer<ServiceRecord[]> {
  const records: ServiceRecord[] = [];
  let ttlS = Number.POSITIVE_INFINITY;
  for (const record of reply.answers ?? []) {
    if (record.type !== 'SRV' && record.type !== 'CNAME') continue;
    ttlS = Math.min(ttlS, record.ttl ?? 0);
    if (record.type !== 'SRV') continue;
    const { target, port, priority = 0, weight = 0 } = record.data;
    // A dot alone: the service is decidedly not there (RFC 2782).
    const name = target.toLowerCase().replace(/\.$/, '');
    if (name !== '' && port > 0) records.push({ target: name, port, priority, weight });
  }
  if (records.length === 0) return { kind: 'none' };
  records.sort((a, b) => a.priority - b.priority || (a.target < b.target ? -1 : 1) || a.port - b.port);
  return { kind: 'found', value: records.slice(0, MAX_RECORDS), ttlMs: ttlS * 1000 };
}

async function ask(name: string, server: Server, options: ServiceQueryOptions): Promise<DecodedPacket> {
  const id = randomInt(0x10000);
  const query = {
    type: 'query' as const,
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: 'SRV' as const, name }],
    additionals: [EDNS],
  };
  const isAnswer = (reply: DecodedPacket): boolean =>
    reply.id === id &&
    reply.type === 'response' &&
    reply.questions?.[0]?.type === 'SRV' &&
    reply.questions[0].name.toLowerCase() === name.toLowerCase();
  const reply = await byUdp(packet.encode(query), server, isAnswer, options);
  return reply.flag_tc ? byTcp(packet.streamEncode(query), server, isAnswer, options) : reply;
}

type IsAnswer = (reply: DecodedPacket) => boolean;

function byUdp(query: Buffer, server: Server, isAnswer: IsAnswer, options: ServiceQueryOptions) {
  return new Promise<DecodedPacket>((resolve, reject) => {
    const socket = dgram.createSocket(net.isIPv6(server.host) ? 'udp6' : 'udp4');
    const end = within(options, reject, () => socket.close());
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('message', (message) => {
      const reply = decode(message);
      // Anyone could have sent what does not fit: it is waited on.
      if (reply !== null && isAnswer(reply)) end(() => resolve(reply));
    });
    // Connected: the kernel drops what another sends, and tells of a closed port.
    socket.connect(server.port, server.host, () => socket.send(query));
  });
}

function byTcp(query: Buffer, server: Server, isAnswer: IsAnswer, options: ServiceQueryOptions) {
  return new Promise<DecodedPacket>((resolve, reject) => {
    const socket = net.connect(server.port, server.host, () => socket.write(query));
    const end = within(options, reject, () => socket.destroy());
    let held = Buffer.alloc(0);
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('close', () => end(() => reject(failure('ECONNRESET'))));
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
      const reply = held.length > MAX_TCP_BYTES + 2 ? null : decode(held.subarray(2, 2 + held.readUInt16BE(0)));
      end(() => (reply !== null && isAnswer(reply) ? resolve(reply) : reject(failure('EBADRESP'))));
    });
  });
}

/** What it returns takes the first outcome and closes; by time and by the signal it is a failure. */
function within({ timeoutMs, signal }: ServiceQueryOptions, reject: (error: Error) => void, close: () => void) {
  let over = false;
  const end = (outcome: () => void): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    signal.removeEventListener('abort', late);
    close();
    outcome();
  };
  const late = (): void => end(() => reject(failure('ETIMEOUT')));
  const timer = setTimeout(late, timeoutMs);
  signal.addEventListener('abort', late);
  return end;
}

function decode(message: Buffer): DecodedPacket | null {
  try {
    return packet.decode(message);
  } catch {
    return null;
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function serverOf(written: string): Server {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(written);
  if (match === null) return { host: written, port: 53 };
  return { host: match[1] ?? match[2] ?? written, port: Number(match[3] ?? 53) };
}
