/** The data plane's program. Small on purpose: what it sets must hold before anything else is loaded. */
import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

// Loading modules makes much that lives: the young generations would grow for it, in every thread, and never shrink. Idle, that
// is 20 MB for one worker. They grow again from when requests come (supervisor/run.ts).
setFlagsFromString('--semi-space-growth-factor=1');

// Workers take it from the environment.
const stateDir = process.env.TIDEGATE_STATE_DIR || '.tidegate';
if (stateDir !== 'off') process.env.NODE_COMPILE_CACHE ??= `${stateDir}/compile-cache`;
enableCompileCache(process.env.NODE_COMPILE_CACHE);

const { helpText, loadConfig } = await import('./config.ts');
if (process.argv.includes('--help')) {
  process.stdout.write(helpText(process.env));
} else {
  const loaded = loadConfig(process.env, process.argv.slice(2));
  if (loaded.ok) {
    const { run } = await import('./supervisor/run.ts');
    process.exit(await run(loaded.config, loaded.warnings));
  }
  const mistakes = loaded.errors.map((error) => `  ${error}\n`).join('');
  process.stderr.write(`tidegate data plane: the configuration can't be used\n${mistakes}`);
  process.exitCode = 2;
}
