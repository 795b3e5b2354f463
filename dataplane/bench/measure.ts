/** Times a function in batches and reports the median, so that one slow batch (GC, a neighbour) does not decide. */
export interface Measured {
  readonly nsPerOp: number;
  /** Bytes of young-generation garbage, per operation; rounded to what the heap counter resolves. */
  readonly bytesPerOp: number;
}

/**
 * `operation` is called `perBatch` times a batch with 0, 1, …, after one third as many batches to warm up. `prepare` runs before each
 * batch and is not timed.
 */
export function measure(
  operation: (i: number) => unknown,
  perBatch = 20_000,
  batches = 45,
  prepare = () => {},
): Measured {
  let sink = 0;
  const batch = () => {
    for (let i = 0; i < perBatch; i++) if (operation(i) !== null) sink++;
  };
  for (let i = 0; i < Math.ceil(batches / 3); i++) {
    prepare();
    batch();
  }
  const times: number[] = [];
  const bytes: number[] = [];
  for (let i = 0; i < batches; i++) {
    prepare();
    const heap = process.memoryUsage().heapUsed;
    const start = process.hrtime.bigint();
    batch();
    times.push(Number(process.hrtime.bigint() - start) / perBatch);
    bytes.push((process.memoryUsage().heapUsed - heap) / perBatch);
  }
  if (sink < 0) throw new Error('unreachable: keeps the loop from being removed');
  // A collection during a batch makes its growth negative or small; the largest is nearest to the truth.
  return { nsPerOp: median(times), bytesPerOp: Math.max(0, Math.round(Math.max(...bytes))) };
}

export function report(name: string, { nsPerOp, bytesPerOp }: Measured): void {
  console.log(`${name.padEnd(52)} ${nsPerOp.toFixed(0).padStart(7)} ns ${String(bytesPerOp).padStart(6)} B`);
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}
