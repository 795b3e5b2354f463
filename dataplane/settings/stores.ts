/** What lies outside the process. */
import { integer, MILLISECONDS, milliseconds, setting, text } from '../setting.ts';
import { readStoreLocation, STORE_LOCATION_FORM } from '../store/credentials/location.ts';
import { isRedisUrl, REDIS_URL_FORM } from '../store/redis/url.ts';

export const storeSettings = {
  TIDEGATE_REDIS_URL: {
    ...setting(
      (raw) => (raw === '' || isRedisUrl(raw) ? raw : undefined),
      '',
      REDIS_URL_FORM,
      `Redis for rate limits and sessions that are shared: ${REDIS_URL_FORM}; empty: none`,
    ),
    secret: true as const,
  },
  TIDEGATE_CREDENTIALS: {
    ...setting(
      (raw) => (raw === '' || readStoreLocation(raw) !== null ? raw : undefined),
      '',
      STORE_LOCATION_FORM,
      `credential store for policies with store: true: ${STORE_LOCATION_FORM}; empty: none`,
    ),
    secret: true as const,
  },
  TIDEGATE_CREDENTIALS_FILE: setting(text(0), '', 'a file', 'a file that holds it instead, read at start'),
  TIDEGATE_CREDENTIALS_STALE_FOR_MS: setting(
    milliseconds,
    '300000',
    MILLISECONDS,
    'how long credentials that are known count when the credential store is away',
  ),
  TIDEGATE_REDIS_URL_FILE: setting(text(0), '', 'a file', 'a file that holds it instead, read at start'),
  TIDEGATE_REDIS_TIMEOUT_MS: setting(
    integer(1, 2_000),
    '50',
    'milliseconds, 1 to 2000',
    'what a request may wait for Redis to count it; then onStoreFailure of its limit applies',
  ),
};
