/**
 * Times a function in many small batches. `best` is the fastest tenth, what the code costs when nobody else uses the core; the median
 * shows how far that was from the truth of this run.
 */
export interface Measured {
  readonly bestNs: number;
  readonly medianNs: number;
  /** Bytes of garbage an operation, the median batch. */
  readonly bytes: number;
}

/**
 * `operation` is called `perBatch` times a batch with 0, 1, …, after as many batches to warm up. `prepare` runs before each batch
 * and is not timed.
 */
export function measure(
  operation: (i: number) => unknown,
  perBatch = 256,
  batches = 600,
  prepare = () => {},
): Measured {
  let sink = 0;
  const batch = () => {
    for (let i = 0; i < perBatch; i++) if (operation(i) !== null) sink++;
  };
  for (let i = 0; i < batches; i++) {
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
  return { bestNs: quantile(times, 0.1), medianNs: quantile(times, 0.5), bytes: Math.round(quantile(bytes, 0.5)) };
}

export function report(name: string, { bestNs, medianNs, bytes }: Measured): void {
  const ns = (value: number) => value.toFixed(0).padStart(6);
  console.log(`${name.padEnd(48)} best ${ns(bestNs)} ns   median ${ns(medianNs)} ns   ${String(bytes).padStart(5)} B`);
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * q)] as number;
}
