/** Certificates for tests, made by openssl in a folder of their own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CertificateFiles } from './certificates.ts';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

export class TestAuthority {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'tidegate-certificates-'));

  /** Makes an authority; its certificate is `<name>.crt`. */
  authority(name: string): string {
    this.#openssl('req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`);
    return this.file(`${name}.crt`);
  }

  /** A certificate for `dns` (and for 127.0.0.1) with the common name `name`, signed by `authority`. */
  issue(name: string, authority: string, dns: string, stem = name): CertificateFiles & { authorityFile: string } {
    const names = `subjectAltName=DNS:${dns},IP:127.0.0.1`;
    this.#openssl(
      ...['req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-addext', names],
      ...['-addext', 'basicConstraints=critical,CA:FALSE', '-CA', `${authority}.crt`, '-CAkey', `${authority}.key`],
      ...['-keyout', `${stem}.key`, '-out', `${stem}.crt`],
    );
    return {
      certificateFile: this.file(`${stem}.crt`),
      keyFile: this.file(`${stem}.key`),
      authorityFile: this.file(`${authority}.crt`),
    };
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe', cwd: this.folder });
  }
}
