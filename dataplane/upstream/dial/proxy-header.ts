/** Headers of the PROXY protocol (haproxy.org, doc/proxy-protocol.txt), as text of one character a byte. */
import { isIP, isIPv6 } from 'node:net';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { ProxyProtocol } from '../../snapshot/backend/transport.ts';

/** Whom a connection is opened for, and where that one connected to. Ports that are not known are 0. */
export interface ProxiedClient {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

const V2_SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const V2_PROXY = '\x21';
/** The connection is the gateway's own: the receiver goes by its addresses. */
const V2_LOCAL = '\x20\0\0\0';
const V2_TCP4 = '\x11\0\x0c';
const V2_TCP6 = '\x21\0\x24';

/** The client of an exchange, as rules see it: its port is known where it is the connected peer itself. */
export function proxiedClient({ clientAddress, downstream }: Exchange): ProxiedClient | null {
  const { addresses, peerAddress } = downstream;
  if (!addresses) return null;
  const { localAddress, localPort, peerPort } = addresses;
  return {
    sourceAddress: clientAddress,
    sourcePort: clientAddress === peerAddress ? peerPort : 0,
    destinationAddress: localAddress,
    destinationPort: localPort,
  };
}

export function sameClient(a: ProxiedClient | null, b: ProxiedClient | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.sourceAddress === b.sourceAddress &&
    a.sourcePort === b.sourcePort &&
    a.destinationAddress === b.destinationAddress &&
    a.destinationPort === b.destinationPort
  );
}

/** Null: the connection is nobody's in particular. So is one whose addresses are not known. */
export function proxyHeader(version: ProxyProtocol, client: ProxiedClient | null): string {
  if (client === null || isIP(client.sourceAddress) === 0 || isIP(client.destinationAddress) === 0) {
    return version === 'v1' ? 'PROXY UNKNOWN\r\n' : V2_SIGNATURE + V2_LOCAL;
  }
  const { sourceAddress, sourcePort, destinationAddress, destinationPort } = client;
  const six = isIPv6(sourceAddress) || isIPv6(destinationAddress);
  if (version === 'v1') {
    const source = six ? mapped(sourceAddress) : sourceAddress;
    const destination = six ? mapped(destinationAddress) : destinationAddress;
    return `PROXY ${six ? 'TCP6' : 'TCP4'} ${source} ${destination} ${sourcePort} ${destinationPort}\r\n`;
  }
  const bytes = six ? bytesOfIPv6 : bytesOfIPv4;
  const addresses = bytes(sourceAddress) + bytes(destinationAddress);
  return V2_SIGNATURE + V2_PROXY + (six ? V2_TCP6 : V2_TCP4) + addresses + uint16(sourcePort) + uint16(destinationPort);
}

/** An IPv4 address as the IPv6 address it is mapped to (RFC 4291 section 2.5.5.2); others without their zone. */
function mapped(address: string): string {
  return isIPv6(address) ? (address.split('%')[0] as string) : `::ffff:${address}`;
}

function bytesOfIPv4(address: string): string {
  return String.fromCharCode(...address.split('.').map(Number));
}

function bytesOfIPv6(address: string): string {
  const [, head = '', tail] = /^(.*?)(?:::(.*))?$/.exec(expanded(mapped(address))) ?? [];
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...zeros, ...last].map(uint16).join('');
}

/** Dotted digits at the end as two groups. */
function expanded(address: string): string {
  return address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
}

function uint16(value: number): string {
  return String.fromCharCode(value >> 8, value & 255);
}
