/** How a backend's endpoints share its requests, in words. */
import type { Balancing, HashKey } from '../../snapshot/backend/balancing.ts';

const ALGORITHMS: Readonly<Record<Balancing['algorithm'], string>> = {
  roundRobin: 'round robin',
  random: 'random',
  leastRequest: 'least request',
  peakEwma: 'peak EWMA',
  maglev: 'consistent hash (Maglev)',
  ringHash: 'consistent hash (ring)',
};

/** Such as `consistent hash (Maglev) of header x-user, load up to 125 %, sticky by cookie at, own zone first`. */
export function balancingText({ algorithm, hash, maxLoadPercent, sticky, preferZone }: Balancing): string {
  return [
    hash === undefined ? ALGORITHMS[algorithm] : `${ALGORITHMS[algorithm]} of ${keyText(hash)}`,
    ...(maxLoadPercent === undefined ? [] : [`load up to ${maxLoadPercent} %`]),
    ...(sticky === undefined ? [] : [`sticky by cookie ${sticky.cookie}`]),
    ...(preferZone === true ? ['own zone first'] : []),
  ].join(', ');
}

function keyText(hash: HashKey): string {
  return hash.by === 'address' ? 'the client address' : `${hash.by} ${hash.name}`;
}
