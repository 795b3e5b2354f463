/** For tests: a certificate authority in a temporary folder, by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Issued {
  /** PEM. */
  readonly chain: string;
  readonly key: string;
}

export class TestAuthority {
  readonly certificate: string;
  readonly folder = mkdtempSync(path.join(tmpdir(), 'tidegate-ca-'));
  #serial = 0;

  constructor(name = 'Test CA') {
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key');
    this.#openssl('req', '-x509', '-key', 'ca.key', '-days', '30', '-subj', `/CN=${name}`, '-out', 'ca.crt');
    this.certificate = this.read('ca.crt');
  }

  /** `names`: alternative names as openssl writes them (`DNS:a.example`, `URI:spiffe://…`); `subject`: `/CN=…`. */
  issue(names: string[], subject = '/CN=test', days = 30): Issued {
    const file = `leaf${this.#serial++}`;
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${file}.key`);
    this.#openssl('req', '-new', '-key', `${file}.key`, '-subj', subject, '-out', `${file}.csr`);
    writeFileSync(
      path.join(this.folder, `${file}.ext`),
      names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`,
    );
    const sign = ['x509', '-req', '-in', `${file}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
    this.#openssl(...sign, '-days', String(days), '-extfile', `${file}.ext`, '-out', `${file}.crt`);
    return { chain: this.read(`${file}.crt`), key: this.read(`${file}.key`) };
  }

  read(file: string): string {
    return readFileSync(path.join(this.folder, file), 'utf8');
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe', cwd: this.folder });
  }
}
