/** On which ports the PROXY protocol is read, and whom it is believed from. */
import { type BlockList, isIP } from 'node:net';
import { addressList } from '../pipeline/addresses.ts';
import { list, type Setting, setting } from '../setting.ts';

const PORTS = ['http', 'h2c', 'https'] as const;
export type ProxyPort = (typeof PORTS)[number];

export interface ProxyProtocolConfig {
  /** Empty: nowhere. */
  readonly ports: readonly ProxyPort[];
  /** Addresses and CIDR blocks. */
  readonly from: readonly string[];
}

export const proxyProtocolSettings = {
  TIDEGATE_PROXY_PROTOCOL: setting(
    portsOf,
    'off',
    'off, or one or more of http, h2c and https, comma between them',
    'ports on which a load balancer says who the client is (PROXY protocol v1 or v2)',
  ),
  TIDEGATE_PROXY_PROTOCOL_FROM: setting(
    blocksOf,
    '',
    'addresses or CIDR blocks, comma between them',
    'load balancers it is believed from; their connections must begin with it, of all others it is not taken',
  ),
};

type Values = {
  readonly [K in keyof typeof proxyProtocolSettings]: (typeof proxyProtocolSettings)[K] extends Setting<infer T>
    ? T
    : never;
};

export function proxyProtocolOf(values: Values, errors: string[]): ProxyProtocolConfig {
  const { TIDEGATE_PROXY_PROTOCOL: ports, TIDEGATE_PROXY_PROTOCOL_FROM: from } = values;
  if (ports.length > 0 && from.length === 0)
    errors.push('TIDEGATE_PROXY_PROTOCOL needs TIDEGATE_PROXY_PROTOCOL_FROM: who may say who the client is');
  if (ports.length === 0 && from.length > 0)
    errors.push('TIDEGATE_PROXY_PROTOCOL_FROM needs TIDEGATE_PROXY_PROTOCOL: on which ports it is read');
  return { ports, from };
}

/** Null: the port reads no PROXY protocol. */
export function proxySources({ ports, from }: ProxyProtocolConfig, port: ProxyPort): BlockList | null {
  if (!ports.includes(port)) return null;
  return addressList(from, (index, message) => {
    throw new RangeError(`${from[index]}: ${message}`);
  });
}

function portsOf(raw: string): ProxyPort[] | undefined {
  if (raw === 'off') return [];
  const names = list(raw);
  const ports = PORTS.filter((port) => names?.includes(port) === true);
  return names === undefined || ports.length < new Set(names).size ? undefined : ports;
}

function blocksOf(raw: string): string[] | undefined {
  if (raw === '') return [];
  const blocks = list(raw);
  return blocks?.every(isBlock) === true ? blocks : undefined;
}

function isBlock(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
