/**
 * The cookies of a login (RFC 6265bis): the session, in several where it is long, and the logins that are under way. Over https they have the
 * prefix __Host-, so that no other host and no plain connection can plant them.
 */
import type { Exchange } from '../../../pipeline/exchange.ts';
import { cookieValue } from '../places.ts';

/** Browsers take 4096 bytes with name and attributes. */
const MAX_PART = 3_800;
/** With more, the head of a request is longer than many servers take. */
export const MAX_PARTS = 3;
/** Logins of one browser that may be under way; a further one takes the place of another. */
const LOGIN_SLOTS = 4;

export class Cookies {
  readonly #name: string;
  readonly #secure: boolean;

  /** `secure`: for https only. */
  constructor(name: string, secure: boolean) {
    this.#name = secure ? `__Host-${name}` : name;
    this.#secure = secure;
  }

  /** Undefined: there is none, or not all of it. */
  session({ headers }: Exchange): string | undefined {
    const header = headers.getCombined('cookie');
    const first = cookieValue(header, this.#name);
    if (first === undefined || first === '' || first.charAt(1) !== '~') return first || undefined;
    const count = Number(first.charAt(0));
    if (!(count >= 2 && count <= MAX_PARTS)) return undefined;
    let value = first.slice(2);
    for (let i = 1; i < count; i++) {
      const part = cookieValue(header, this.#partName(i));
      if (part === undefined) return undefined;
      value += part;
    }
    return value;
  }

  /** Set-Cookie values, those that take away what is left of a longer one among them; null where it is too long. */
  setSession(exchange: Exchange, value: string, maxAgeMs: number): string[] | null {
    const count = value.length <= MAX_PART ? 1 : Math.ceil((value.length + 2) / MAX_PART);
    if (count > MAX_PARTS) return null;
    const whole = count === 1 ? value : `${count}~${value}`;
    const parts = Array.from({ length: count }, (_, i) =>
      this.#set(this.#partName(i), whole.slice(i * MAX_PART, (i + 1) * MAX_PART), maxAgeMs),
    );
    return [...parts, ...this.#clear(exchange, count)];
  }

  /** Takes away those that this request has. */
  clearSession(exchange: Exchange): string[] {
    return this.#clear(exchange, 0);
  }

  login({ headers }: Exchange, state: string): string | undefined {
    return cookieValue(headers.getCombined('cookie'), this.#loginName(state));
  }

  setLogin(state: string, value: string, maxAgeMs: number): string {
    return this.#set(this.#loginName(state), value, maxAgeMs);
  }

  clearLogin(state: string): string {
    return this.#set(this.#loginName(state), '', 0);
  }

  /** The backend has no use for them. */
  strip({ headers }: Exchange): void {
    const { fields } = headers;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== 'cookie' || !(fields[i + 1] as string).includes(this.#name)) continue;
      const kept = (fields[i + 1] as string)
        .split(';')
        .map((part) => part.trim())
        .filter((part) => !this.#isOwn(part.split('=', 1)[0] as string));
      fields[i + 1] = kept.join('; ');
      if (kept.length === 0) {
        fields.splice(i, 2);
        i -= 2;
      }
    }
  }

  #isOwn(name: string): boolean {
    return (
      name === this.#name || (name.startsWith(`${this.#name}-`) && /^-(\d|l\d)$/.test(name.slice(this.#name.length)))
    );
  }

  #clear({ headers }: Exchange, from: number): string[] {
    const header = headers.getCombined('cookie');
    const names = Array.from({ length: MAX_PARTS - from }, (_, i) => this.#partName(from + i));
    return names.filter((name) => cookieValue(header, name) !== undefined).map((name) => this.#set(name, '', 0));
  }

  #partName(i: number): string {
    return i === 0 ? this.#name : `${this.#name}-${i}`;
  }

  #loginName(state: string): string {
    return `${this.#name}-l${state.charCodeAt(0) % LOGIN_SLOTS || 0}`;
  }

  #set(name: string, value: string, maxAgeMs: number): string {
    const age = Math.ceil(maxAgeMs / 1000);
    return `${name}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${age}${this.#secure ? '; Secure' : ''}`;
  }
}
