/** What the requests and the policies of all peers agree on. */
export const ORIGIN = 'https://shop.bench.test';

export const EDITS = {
  request: { name: 'x-edge', value: 'bench' },
  response: { name: 'x-served-by', value: 'bench' },
} as const;

export const KEY_HEADER = 'x-api-key';
/** What limits tell requests apart by. */
export const TENANT_HEADER = 'x-tenant';
