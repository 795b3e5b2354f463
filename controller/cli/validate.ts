/** `tidegate validate`: reads files as the file source does and compiles them, without starting anything. */
import { statSync } from 'node:fs';
import { Command } from 'commander';
import { formatRef, type ObjectRef } from '../api/problem.ts';
import { Compiler } from '../compile/compiler.ts';
import { Store } from '../store/store.ts';
import { FileSet, type FileState } from '../watch/file-set.ts';
import { listFiles, readText } from '../watch/folder.ts';

interface ValidateOptions {
  readonly gateway: string;
  readonly strict: boolean;
}

/** One line for the user: `file:line  Route shop/orders  spec.rules[0]…: message`. */
export interface Finding {
  readonly file: string;
  readonly line?: number | undefined;
  readonly object?: ObjectRef | undefined;
  readonly path: string;
  readonly message: string;
}

export interface ValidationReport {
  readonly files: number;
  readonly objects: number;
  /** The gateway would refuse the file. */
  readonly errors: readonly Finding[];
  /** The file is taken, but something in it would not work: a backend that is not there, a rule never reached. */
  readonly warnings: readonly Finding[];
}

export function validateCommand(): Command {
  return new Command('validate')
    .description('check Route, Backend and Policy files as the gateway would; nothing is started')
    .argument('[paths...]', 'folders or YAML files, read as one configuration', ['.'])
    .option('--gateway <name>', 'the installation they are for (spec.gateway)', 'tidegate')
    .option('--strict', 'exit 1 for warnings too', false)
    .addHelpText(
      'after',
      `
Errors are what the gateway refuses a file for. Warnings are objects that are taken but will not work as written: a
backend that does not exist, a rule that an older one hides. A Service can't be known here, so it is not warned about.

Exit status: 0 all good, 1 a file has an error, 2 nothing to check.`,
    )
    .action(async (paths: string[], options: ValidateOptions) => {
      const files = await filesOf(paths);
      if (typeof files === 'string') {
        process.stderr.write(`tidegate: ${files}\n`);
        process.exitCode = 2;
        return;
      }
      const report = await validateFiles(files, options.gateway);
      for (const finding of report.errors) process.stdout.write(`error    ${formatFinding(finding)}\n`);
      for (const finding of report.warnings) process.stdout.write(`warning  ${formatFinding(finding)}\n`);
      process.stdout.write(`${summary(report)}\n`);
      process.exitCode = report.errors.length > 0 || (options.strict && report.warnings.length > 0) ? 1 : 0;
    });
}

/** Paths of all YAML files named, or a sentence saying why there are none. */
async function filesOf(paths: readonly string[]): Promise<string[] | string> {
  const files = new Set<string>();
  for (const name of paths) {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found === undefined) return `${name} does not exist`;
    if (found.isDirectory()) for (const file of (await listFiles(name)).keys()) files.add(file);
    else files.add(name);
  }
  return files.size === 0 ? `no *.yaml or *.yml files in ${paths.join(', ')}` : [...files];
}

export async function validateFiles(files: readonly string[], gateway: string): Promise<ValidationReport> {
  const states = new Map<string, FileState>();
  for (const file of files) states.set(file, await readText(file));
  const { accepted, refused } = new FileSet().update(states);
  const errors = refused.flatMap(({ file, problems }) => problems.map((problem) => ({ file, ...problem })));

  const store = new Store();
  const compiler = new Compiler({ store, gateway });
  const fileOf = new Map<string, string>();
  for (const { file, events } of accepted) {
    for (const event of events) {
      if (event.type !== 'upsert') continue;
      const { kind, metadata } = event.object;
      fileOf.set(`${kind}/${metadata.namespace}/${metadata.name}`, file);
    }
    compiler.apply(store.apply(events));
  }
  const warnings = [...compiler.outcomes.values()]
    .flatMap((outcome) => outcome.problems)
    .filter((problem) => problem.reason !== 'ServiceNotFound' && problem.reason !== 'BackendInvalid')
    .map(({ object, path: at, message }) => {
      const file = fileOf.get(`${object.kind}/${object.namespace}/${object.name}`) ?? '';
      return { file, object, path: at, message };
    });
  return { files: files.length, objects: fileOf.size, errors, warnings };
}

function formatFinding({ file, line, object, path: at, message }: Finding): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const what = [at, message].filter((part) => part !== '').join(': ');
  return [place, object === undefined ? '' : formatRef(object), what].filter((part) => part !== '').join('  ');
}

function summary({ files, objects, errors, warnings }: ValidationReport): string {
  const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
  const found = `${count(errors.length, 'error')}, ${count(warnings.length, 'warning')}`;
  return `${count(files, 'file')}, ${count(objects, 'object')}: ${errors.length + warnings.length === 0 ? 'all good' : found}`;
}
