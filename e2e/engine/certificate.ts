/** A certificate that nobody trusts, by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** PEM; P-256, for two days. */
export function selfSigned(commonName: string): { chain: string; key: string } {
  const dir = mkdtempSync(path.join(tmpdir(), 'tidegate-certificate-'));
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', [...make, '-subj', `/CN=${commonName}`, '-keyout', 'key', '-out', 'crt'], {
    stdio: 'pipe',
    cwd: dir,
  });
  const pem = {
    chain: readFileSync(path.join(dir, 'crt'), 'utf8'),
    key: readFileSync(path.join(dir, 'key'), 'utf8'),
  };
  rmSync(dir, { recursive: true });
  return pem;
}
