/** Known payloads and random inputs as whole conversations, through our engine and through nginx (exchanges.ts). */
import { type ExchangeDifference, Exchanges } from './exchanges.ts';
import { mutate, pick, seeded } from './mutate.ts';

export interface ConversationFinding extends ExchangeDifference {
  /** One character a byte. */
  readonly input: string;
}

export interface ConversationReport {
  readonly conversations: number;
  readonly tookMs: number;
  readonly findings: readonly ConversationFinding[];
}

export interface ConversationOptions {
  readonly nginxPath: string;
  readonly seed: number;
  /** Each is tried as it is; random inputs are made of them. */
  readonly seeds: readonly string[];
  /** From the start, ms; the seeds are tried in any case. */
  readonly forMs: number;
  readonly onFinding?: (finding: ConversationFinding) => void;
}

const MAX_FINDINGS = 20;

export async function conversations(options: ConversationOptions): Promise<ConversationReport> {
  const { seeds, forMs, onFinding } = options;
  const random = seeded(options.seed);
  const findings: ConversationFinding[] = [];
  const kinds = new Set<string>();
  const exchanges = await new Exchanges().start(options.nginxPath);
  const startedAtMs = Date.now();
  let done = 0;
  try {
    for (;;) {
      const input = seeds[done] ?? mutate(pick(random, seeds), seeds, random);
      const difference = await exchanges.differenceOn(input);
      done++;
      if (difference !== null) {
        const kind = difference.what.replaceAll(/\d+/g, 'n');
        if (!kinds.has(kind)) {
          kinds.add(kind);
          findings.push({ ...difference, input });
          onFinding?.({ ...difference, input });
        }
      }
      const over = Date.now() - startedAtMs >= forMs && done >= seeds.length;
      if (over || findings.length >= MAX_FINDINGS) break;
    }
  } finally {
    await exchanges.stop();
  }
  return { conversations: done, tookMs: Date.now() - startedAtMs, findings };
}
