/** For tests: certificates made by openssl, as resources, and servers that show them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CertificateResource, TrustResource } from '../../snapshot/tls.ts';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export class TestCertificates {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'tidegate-dial-'));

  constructor(...authorities: string[]) {
    for (const name of ['ca', ...authorities])
      this.#openssl(
        'req',
        '-x509',
        ...KEY,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.crt`,
      );
  }

  /** `names`: as entries of OpenSSL, `DNS:a.test`, `URI:spiffe://a/b`, `IP:127.0.0.1`. `days` below 0: it is over. */
  issue(name: string, names: readonly string[], { authority = 'ca', days = 2 } = {}): Pair {
    const entries = names.map((one, i) => one.replace(/^([A-Za-z]+):(.*)$/, `$1.${i} = $2`));
    const extensions = ['basicConstraints=critical,CA:FALSE', 'subjectAltName=@names', '[names]', ...entries];
    writeFileSync(path.join(this.folder, 'extensions'), `${extensions.join('\n')}\n`);
    this.#openssl('req', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', 'request');
    this.#openssl(
      ...['x509', '-req', '-in', 'request', '-CA', `${authority}.crt`, '-CAkey', `${authority}.key`, '-CAcreateserial'],
      ...['-days', String(days), '-extfile', 'extensions', '-out', `${name}.crt`],
    );
    return { cert: this.text(`${name}.crt`), key: this.text(`${name}.key`) };
  }

  text(file: string): string {
    return readFileSync(path.join(this.folder, file), 'utf8');
  }

  trust(authority = 'ca'): TrustResource {
    return { kind: 'trust', id: `trust/backend/test/plain/${authority}`, authorities: this.text(`${authority}.crt`) };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe', cwd: this.folder });
  }
}

export function certificateResource({ cert, key }: Pair, name = 'client'): CertificateResource {
  return { kind: 'certificate', id: `certificate/backend/test/plain/${name}`, chain: cert, key };
}
