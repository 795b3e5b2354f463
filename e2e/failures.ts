import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** As much of Vitest's JSON report as is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Lines of a message that are shown. */
const SHOWN = 4;

/** One entry for each failed test (or file that did not load) of a report: `FAILED file > test: first lines`. */
export function failuresOf(report: string, root: string): string[] {
  if (!existsSync(report)) return [];
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  return testResults.flatMap((file) => {
    const name = path.relative(root, file.name);
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0) return file.status === 'failed' ? [`FAILED ${name}: ${head(file.message)}`] : [];
    return failed.map((test) => `FAILED ${name} > ${test.fullName}: ${head(test.failureMessages.join('\n'))}`);
  });
}

function head(message: string): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(0, SHOWN).join('\n  ');
}
