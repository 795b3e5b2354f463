/** Where a credential store is: `sqlite:PATH` or a MySQL URL, which may hold a password. */

/** What it must be, for messages: completes "must be …". */
export const STORE_LOCATION_FORM =
  'sqlite:PATH or mysql://user:password@host[:port]/database[?tls=true|?tlsCa=FILE], without other parameters';

export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'mysql';
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
      /** PEM file of the authority; empty: those of the system. Null: without TLS. */
      readonly tlsCa: string | null;
    };

/** Null where it is of no such form. MariaDB speaks the same protocol. */
export function readStoreLocation(text: string): StoreLocation | null {
  if (text.startsWith('sqlite:')) {
    const path = text.slice('sqlite:'.length);
    return path === '' || path.includes('\0') ? null : { kind: 'sqlite', path };
  }
  const url = URL.parse(text);
  if (url === null || url.protocol !== 'mysql:' || url.hostname === '' || url.hash !== '') return null;
  const database = /^\/([^/]{1,64})$/.exec(url.pathname)?.[1];
  const tls = tlsOf(url.searchParams);
  if (database === undefined || url.username === '' || tls === undefined) return null;
  try {
    return {
      kind: 'mysql',
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? 3306 : Number(url.port),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(database),
      tlsCa: tls,
    };
  } catch {
    return null;
  }
}

function tlsOf(parameters: URLSearchParams): string | null | undefined {
  const names = [...parameters.keys()];
  if (names.length === 0) return null;
  if (names.length > 1) return undefined;
  const ca = parameters.get('tlsCa');
  if (ca !== null) return ca === '' ? undefined : ca;
  return { true: '', false: null }[parameters.get('tls') ?? ''];
}

/** As a log, a status or a message may show it: without user and password. */
export function describeStoreLocation(location: StoreLocation): string {
  if (location.kind === 'sqlite') return `sqlite:${location.path}`;
  const host = location.host.includes(':') ? `[${location.host}]` : location.host;
  return `mysql://${host}:${location.port}/${location.database}`;
}
