/** A DNS server for tests, by UDP and TCP on one port of 127.0.0.1. It knows what it is told, and fails as it is told. */
import dgram from 'node:dgram';
import net from 'node:net';
import packet, { type Answer, type DecodedPacket } from 'dns-packet';

export interface Srv {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

/** Answers longer than this are cut, and had by TCP. */
const UDP_BYTES = 512;
const RCODE_SERVFAIL = 2;
const RCODE_NXDOMAIN = 3;

export class DnsServer {
  /** `silent`: takes questions and answers none. */
  mode: 'serve' | 'silent' | 'servfail' = 'serve';
  /** Types that fail while the others are served. */
  readonly failing = new Set<string>();
  /** `A db.example`, in the order they were asked. */
  readonly questions: string[] = [];
  readonly byTcp: string[] = [];
  readonly port: number;
  readonly #udp: dgram.Socket;
  readonly #tcp: net.Server;
  readonly #records = new Map<string, Answer[]>();

  private constructor(udp: dgram.Socket, tcp: net.Server) {
    this.port = udp.address().port;
    this.#udp = udp;
    this.#tcp = tcp;
    udp.on('message', (message, from) => {
      const whole = this.#answer(packet.decode(message));
      if (whole === null) return;
      const cut = packet.encode(whole).length > UDP_BYTES;
      const reply = cut ? { ...whole, flags: (whole.flags ?? 0) | packet.TRUNCATED_RESPONSE, answers: [] } : whole;
      udp.send(packet.encode(reply), from.port, from.address);
    });
    tcp.on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        const question = packet.streamDecode(bytes) as DecodedPacket;
        this.byTcp.push(nameOf(question));
        const reply = this.#answer(question);
        if (reply !== null) socket.write(packet.streamEncode(reply));
      });
    });
  }

  static async start(port = 0): Promise<DnsServer> {
    const tcp = net.createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => tcp.once('listening', resolve));
    const udp = dgram.createSocket('udp4');
    udp.bind((tcp.address() as net.AddressInfo).port, '127.0.0.1');
    await new Promise((resolve) => udp.once('listening', resolve));
    return new DnsServer(udp, tcp);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Of one type, instead of those before; none: the name is there without them. */
  set(name: string, type: 'A' | 'AAAA', addresses: readonly string[], ttl: number): void {
    this.#records.set(
      `${type} ${name}`,
      addresses.map((data): Answer => ({ type, name, ttl, data })),
    );
  }

  setServices(name: string, services: readonly Srv[], ttl: number): void {
    this.#records.set(
      `SRV ${name}`,
      services.map((data): Answer => ({ type: 'SRV', name, ttl, data })),
    );
  }

  /** No record of any type is left. */
  remove(name: string): void {
    for (const type of ['A', 'AAAA', 'SRV']) this.#records.delete(`${type} ${name}`);
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #answer(question: DecodedPacket): packet.Packet | null {
    const asked = nameOf(question);
    this.questions.push(asked);
    if (this.mode === 'silent') return null;
    const [type = '', name = ''] = asked.split(' ');
    const answers = this.#records.get(asked);
    const known = [...this.#records.keys()].some((key) => key.endsWith(` ${name}`));
    const failed = this.mode === 'servfail' || this.failing.has(type);
    const rcode = failed ? RCODE_SERVFAIL : known ? 0 : RCODE_NXDOMAIN;
    return {
      type: 'response',
      id: question.id,
      flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode,
      questions: question.questions,
      answers: failed ? [] : (answers ?? []),
    } as packet.Packet;
  }
}

function nameOf({ questions }: DecodedPacket): string {
  const [question] = questions ?? [];
  return `${question?.type} ${question?.name.toLowerCase()}`;
}
