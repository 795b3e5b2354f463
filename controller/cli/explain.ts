/** `tidegate explain`: why a request gets the answer it gets. Asks a data plane's admin server; nothing is sent to a backend. */
import type { Explanation } from '@tidegate/dataplane/snapshot/explain';
import { Command } from 'commander';
import { renderExplanation } from './explain-output.ts';
import { askDataPlane, type ExplainQuestion } from './explain-source.ts';

interface ExplainOptions {
  readonly header: readonly string[];
  readonly address?: string;
  readonly backend?: string;
  readonly url: string;
  readonly kube?: boolean;
  readonly pod?: string;
  readonly namespace: string;
  readonly release: string;
  readonly output: string;
}

export function explainCommand(): Command {
  const also = (value: string, before: string[]): string[] => [...before, value];
  return new Command('explain')
    .description('say which rule a request would match and what each policy would do to it; nothing is forwarded')
    .argument('<method>', 'method, such as GET')
    .argument('<url>', 'URL as the client asks for it, such as https://api.example.com/orders/42')
    .option('-H, --header <name: value>', 'header field of the request; may be repeated', also, [])
    .option('--address <ip>', 'address of the client (default: 127.0.0.1)')
    .option('--backend <name>', 'of a rule with several backends: the one whose share is explained')
    .option('--url <url>', "the data plane's admin address", 'http://127.0.0.1:9090')
    .option('--kube', 'ask a data plane of the installation that your kubeconfig points at, through its API server')
    .option('--pod <name>', 'with --kube: this data plane (default: the first ready one)')
    .option('-n, --namespace <name>', 'with --kube: namespace of the installation', 'tidegate')
    .option('--release <name>', 'with --kube: name of the Helm release', 'tidegate')
    .option('-o, --output <form>', 'text or json', 'text')
    .addHelpText(
      'after',
      `
Examples:
  tidegate explain GET http://127.0.0.1:8080/orders/42 -H 'x-api-key: demo-key-0123456789'
  tidegate explain POST https://api.example.com/orders -H 'authorization: Bearer eyJ…' --address 203.0.113.7
  tidegate explain GET https://api.example.com/orders/42 --kube -n tidegate

Credentials are really checked, so a service that has to be asked is asked. What can be used once stays unused, and rate
limits are looked at without being taken from. A section is shown with the Policy it comes from; the first one that would
answer the request is the last one shown. Nothing of a credential is printed.

Exit status: 0 the request would be served, 1 no answer or a wrong question, 2 the gateway would refuse it (4xx or 5xx).`,
    )
    .action(async (method: string, url: string, options: ExplainOptions) => {
      try {
        const explanation = await askDataPlane(questionOf(method, url, options), options);
        const { output } = options;
        process.stdout.write(
          output === 'json' ? `${JSON.stringify(explanation, null, 2)}\n` : renderExplanation(explanation),
        );
        process.exitCode = isRefused(explanation) ? 2 : 0;
      } catch (error) {
        process.stderr.write(`tidegate: ${(error as Error).message}\n`);
        process.exitCode = 1;
      }
    });
}

/** Throws an Error whose message says what to do. */
export function questionOf(
  method: string,
  url: string,
  { header, address, backend }: Pick<ExplainOptions, 'header' | 'address' | 'backend'>,
): ExplainQuestion {
  if (!/^https?:\/\/[^/?#\s]+\S*$/.test(url))
    throw new Error(`the URL must be whole, such as https://api.example.com/orders, got ${JSON.stringify(url)}`);
  const headers = header.map((field): [string, string] => {
    const colon = field.indexOf(':');
    // The value may be a credential: it is not repeated.
    if (colon <= 0) throw new Error("a header is given as 'name: value', with a colon between them");
    return [field.slice(0, colon).trim(), field.slice(colon + 1).trim()];
  });
  return {
    method: method.toUpperCase(),
    url,
    headers,
    ...(address === undefined ? {} : { address }),
    ...(backend === undefined ? {} : { backend }),
  };
}

function isRefused({ answer }: Explanation): boolean {
  return answer !== null && answer.status >= 400;
}
