/** One setting of the program: how its value is read, what it may be, what it is for. */
import { Resolver } from 'node:dns';

/** Undefined: not a value of this setting. By hand: loading zod for these few checks takes 5 MB of the supervisor. */
export type Read<T> = (raw: string) => T | undefined;

export interface Setting<T> {
  /** The default as one would write it; a function of the environment where it depends on that. */
  readonly fallback: string | ((env: Environment) => string);
  readonly read: Read<T>;
  /** Completes "must be …". */
  readonly expects: string;
  readonly help: string;
  /** May hold a password: never printed. */
  readonly secret?: true;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export function integer(min: number, max: number): Read<number> {
  return (raw) => {
    const value = /^\d{1,15}$/.test(raw) ? Number(raw) : -1;
    return value >= min && value <= max ? value : undefined;
  };
}

/** `max` in UTF-16 units. */
export function text(min: number, max = Number.POSITIVE_INFINITY): Read<string> {
  return (raw) => (raw.length >= min && raw.length <= max ? raw : undefined);
}

export function word(form: RegExp): Read<string> {
  return (raw) => (form.test(raw) ? raw : undefined);
}

export function oneOf<const T extends string>(...words: readonly T[]): Read<T> {
  return (raw) => words.find((known) => known === raw);
}

export function flag(raw: string): boolean | undefined {
  return raw === 'true' ? true : raw === 'false' ? false : undefined;
}

/** At least one, comma between them. */
export function list(raw: string): string[] | undefined {
  const parts = raw
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  return parts.length === 0 ? undefined : parts;
}

/** `list` of what node:dns takes for a server; none is fine. */
export function dnsServers(raw: string): string[] | undefined {
  if (raw === '') return [];
  const servers = list(raw);
  try {
    if (servers !== undefined) new Resolver().setServers(servers);
    return servers;
  } catch {
    return undefined;
  }
}

export function setting<T>(read: Read<T>, fallback: Setting<T>['fallback'], expects: string, help: string): Setting<T> {
  return { read, fallback, expects, help };
}

export const port = integer(0, 65_535);
export const PORT = 'a port, 0 to 65535';
export const milliseconds = integer(0, 3_600_000);
export const MILLISECONDS = 'milliseconds, 0 to 3600000';
export const FLAG = 'true or false';
