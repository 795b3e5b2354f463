/** The controller's process: configuration, start, signals, exit. */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { readConfig } from './config.ts';
import { ControllerError, describeError } from './errors.ts';
import { createLog, type Log } from './log.ts';
import { startController } from './start.ts';

const STOP_TIMEOUT_MS = 20_000;

async function main(): Promise<number> {
  // What concerns us comes as an error and is logged as JSON; grpc-js would write to stderr beside it.
  setLogVerbosity(logVerbosity.NONE);
  let log: Log;
  let running: Awaited<ReturnType<typeof startController>>;
  const stopAsked = stopSignal();
  try {
    const invocation = readConfig(process.argv.slice(2), process.env);
    if (invocation.kind === 'help') {
      process.stdout.write(invocation.text);
      return 0;
    }
    log = createLog(invocation.config.logLevel, { replica: invocation.config.replica });
    running = await startController({ config: invocation.config, log, env: process.env });
  } catch (error) {
    process.stderr.write(`tidegate-controller: ${describeError(error)}\n`);
    return error instanceof ControllerError && error.code === 'CTL_CONFIG' ? 2 : 1;
  }
  const signal = await stopAsked;
  log.info({ event: 'stopping', signal }, 'stopping');
  setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
  await running.stop();
  log.info({ event: 'stopped' }, 'stopped');
  return 0;
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
}

process.exit(await main());
