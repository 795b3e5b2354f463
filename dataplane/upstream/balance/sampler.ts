/**
 * Draws indexes in proportion to weights in constant time: the alias method (Walker 1977, in Vose's form of 1991). One number of `random`
 * (from 0 to below 1) a draw.
 */
export function createSampler(weights: readonly number[], random: () => number): () => number {
  const count = weights.length;
  if (count < 2 || weights.every((weight) => weight === weights[0])) return () => Math.floor(random() * count);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  /** Column i is i itself up to `share[i]`, above it `alias[i]`. */
  const share = Float64Array.from(weights, (weight) => (weight * count) / sum);
  const alias = Int32Array.from(weights, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  share.forEach((part, i) => {
    (part < 1 ? small : large).push(i);
  });
  while (small.length > 0 && large.length > 0) {
    const poor = small.pop() as number;
    const rich = large[large.length - 1] as number;
    alias[poor] = rich;
    share[rich] = (share[rich] as number) - (1 - (share[poor] as number));
    if ((share[rich] as number) < 1) small.push(large.pop() as number);
  }
  // What is left differs from 1 by rounding only.
  for (const i of small.concat(large)) share[i] = 1;
  return () => {
    const point = random() * count;
    const column = Math.floor(point);
    return point - column < (share[column] as number) ? column : (alias[column] as number);
  };
}
