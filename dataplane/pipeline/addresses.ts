/** Sets of client addresses, for routes and policies alike. */
import { BlockList, isIP } from 'node:net';

/** Addresses and CIDR blocks. `refuse` is told the place of one that is neither, and throws. */
export function addressList(sources: readonly string[], refuse: (index: number, message: string) => never): BlockList {
  const list = new BlockList();
  for (const [index, source] of sources.entries()) {
    const slash = source.indexOf('/');
    const address = slash < 0 ? source : source.slice(0, slash);
    const family = isIP(address);
    const bits = slash < 0 ? '' : source.slice(slash + 1);
    if (family === 0 || (slash >= 0 && !(/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)))) {
      refuse(index, 'neither an address nor a CIDR block');
    }
    const type = family === 6 ? 'ipv6' : 'ipv4';
    if (slash < 0) list.addAddress(address, type);
    else list.addSubnet(address, Number(bits), type);
  }
  return list;
}

/** False for what is no address. */
export function listHolds(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
