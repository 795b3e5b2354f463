/** The largest weight of those that are no whole numbers, once scaled: shares are then exact to 0.01 % of the heaviest one's. */
const SCALE = 10_000;

/** As small whole numbers in the same proportions; those with fractions (shares of tiers and zones, slow start) rounded, none to 0. */
export function wholeWeights(weights: readonly number[]): Float64Array {
  const whole = weights.every(Number.isInteger);
  const scale = SCALE / Math.max(...weights);
  const scaled = Float64Array.from(weights, (weight) => (whole ? weight : Math.max(1, Math.round(weight * scale))));
  const divisor = scaled.reduce(greatestCommonDivisor);
  return scaled.map((weight) => weight / divisor);
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}
