/** The grpc-timeout field (github.com/grpc/grpc doc/PROTOCOL-HTTP2.md): up to eight digits and a unit. */

const MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** ms; -1: not a timeout. A timeout of nothing is one. */
export function parseTimeout(value: string): number {
  if (!/^\d{1,8}[HMSmun]$/.test(value)) return -1;
  return Number(value.slice(0, -1)) * (MS[value.at(-1) as string] as number);
}

/** What is left, rounded down to what eight digits can say; at least a millisecond, as nothing would be no time-out to some. */
export function formatTimeout(leftMs: number): string {
  const ms = Math.max(1, Math.floor(leftMs));
  if (ms < 1e8) return `${ms}m`;
  const seconds = Math.floor(ms / 1000);
  return seconds < 1e8 ? `${seconds}S` : `${Math.min(99_999_999, Math.floor(seconds / 3600))}H`;
}
