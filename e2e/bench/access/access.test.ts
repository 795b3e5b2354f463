import { createPublicKey, verify, type webcrypto } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { TokenMaker } from './tokens.ts';
import { writeWrkScript } from './wrk-script.ts';

const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each(['RS256', 'ES256'] as const)('a token of %s is good by the key set, and unlike any other', (algorithm) => {
  const maker = new TokenMaker();
  const [token = '', other] = maker.many(2, algorithm);
  expect(other).not.toBe(token);
  const { keys } = JSON.parse(maker.jwks) as { keys: (webcrypto.JsonWebKey & { kid: string })[] };
  const key = createPublicKey({
    key: keys.find(({ kid }) => kid === algorithm) as webcrypto.JsonWebKey,
    format: 'jwk',
  });
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const signed = Buffer.from(token.slice(0, end));
  expect(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
});

test('a script holds what all requests have, its values lie beside it', () => {
  const file = writeWrkScript(dir, 'keys', {
    path: '/small',
    headers: { Origin: 'https://a "quoted" one' },
    name: 'X-Key',
    prefix: '',
    values: ['a', 'b'],
    delayMs: 4,
  });
  const script = readFileSync(file, 'utf8');
  expect(script).toContain(String.raw`["Origin"] = "https://a \"quoted\" one", ["X-Key"] = "" .. value`);
  expect(script).toContain('at = at % #requests + 1');
  expect(script).toContain('return 4');
  expect(readFileSync(join(dir, 'keys.txt'), 'utf8')).toBe('a\nb\n');
});
