/**
 * The program's own log. One thread writes it (supervisor/output.ts): two writers may mix their bytes on a full pipe. A worker
 * hands its lines on as values.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

/** Constant message, variable fields. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** A log that hands each line on as values. */
export function forwardingLog(forward: (level: LogLevel, fields: LogFields, message: string) => void): Log {
  const at =
    (level: LogLevel) =>
    (fields: LogFields, message: string): void =>
      forward(level, fields, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** For tests and parts that have nothing to say. */
export const silentLog: Log = forwardingLog(() => {});
