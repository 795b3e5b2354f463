/** The data plane's program. Small on purpose: the compile cache must be on before anything else is loaded. */
import { enableCompileCache } from 'node:module';

const stateDir = process.env.TIDEGATE_STATE_DIR || '.tidegate';
if (process.env.NODE_COMPILE_CACHE === undefined && stateDir !== 'off') enableCompileCache(`${stateDir}/compile-cache`);

const { helpText, loadConfig } = await import('./config.ts');
if (process.argv.includes('--help')) {
  process.stdout.write(helpText(process.env));
} else {
  const loaded = loadConfig(process.env, process.argv.slice(2));
  if (loaded.ok) {
    const { run } = await import('./supervisor/run.ts');
    process.exit(await run(loaded.config, loaded.warnings));
  }
  process.stderr.write(
    `tidegate data plane: the configuration can't be used\n${loaded.errors.map((error) => `  ${error}\n`).join('')}`,
  );
  process.exitCode = 2;
}
