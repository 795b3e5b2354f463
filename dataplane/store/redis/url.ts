/** The address of a Redis, which may hold a password. */

/** What a URL must be, for messages: completes "must be …". */
export const REDIS_URL_FORM =
  'redis:// or rediss:// with [user:password@]host[:port][/database], rediss also [?tlsCa=FILE]';

/** `rediss://user:password@host:6380/2?tlsCa=/etc/redis/ca.crt`. */
export function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    (url.protocol === 'redis:' || url.protocol === 'rediss:') &&
    url.hostname !== '' &&
    /^(\/\d{0,5})?$/.test(url.pathname) &&
    (url.search === '' ||
      (url.protocol === 'rediss:' && [...url.searchParams.keys()].join() === 'tlsCa' && tlsCaOf(text) !== '')) &&
    url.hash === ''
  );
}

/** PEM file of the authority a server's certificate must come from; null: those of the system. */
export function tlsCaOf(text: string): string | null {
  return new URL(text).searchParams.get('tlsCa');
}

/** The URL without what only we understand. */
export function withoutParameters(text: string): string {
  return text.split('?', 1)[0] as string;
}

/** `redis://host:port/0`, as a log, a status or a metric may show it. */
export function describeRedisUrl(text: string): string {
  const { protocol, hostname, port, pathname } = new URL(text);
  return `${protocol}//${hostname}:${port === '' ? '6379' : port}/${pathname.slice(1) || '0'}`;
}
