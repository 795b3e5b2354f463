/** One of the two programs as a child process of `tidegate run`: its JSON log lines are read, its stderr is kept. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export type LogLine = Record<string, unknown> & { level?: number; msg?: string; event?: string };

export interface Child {
  readonly name: string;
  /** Resolves with the exit code when the process has ended; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** SIGTERM, then SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** The last lines of what it printed that were no log lines. */
  lastWords(): string;
}

const KEPT_LINES = 40;

export function startChild(
  name: string,
  script: string,
  env: NodeJS.ProcessEnv,
  onLog: (line: LogLine) => void,
): Child {
  // A process group of its own: Ctrl-C reaches this command alone, which then stops its children in order.
  const child = spawn(process.execPath, [...process.execArgv, script], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Also where it is asked twice to stop, or fails: nobody else would end a child of another group.
  const abandon = (): void => void child.kill('SIGKILL');
  process.once('exit', abandon);
  const words: string[] = [];
  const keep = (text: string): void => {
    words.push(text);
    if (words.length > KEPT_LINES) words.shift();
  };
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parseLine(text);
    if (line === null) keep(text);
    else onLog(line);
  });
  createInterface({ input: child.stderr }).on('line', keep);
  const exited = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      keep(error.message);
      resolve(1);
    });
    child.once('close', (code) => {
      process.off('exit', abandon);
      resolve(code);
    });
  });
  return { name, exited, stop: (graceMs) => stop(child, exited, graceMs), lastWords: () => words.join('\n') };
}

async function stop(child: ChildProcess, exited: Promise<number | null>, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}

function parseLine(text: string): LogLine | null {
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return null;
  }
}
