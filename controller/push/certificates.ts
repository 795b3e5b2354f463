/**
 * A certificate, its key and the authority, from files that are read again while they are in use: a renewed certificate (a
 * Kubernetes Secret's mount swaps all files at once) takes effect for new connections without a restart.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { experimental } from '@grpc/grpc-js';
import { ControllerError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Null: nobody's certificate has to be checked. */
  readonly authorityFile: string | null;
}

interface Loaded {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly authority: Buffer | null;
}

type Provider = experimental.CertificateProvider;
type AuthorityListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

const REFRESH_MS = 10_000;

/** grpc-js's provider interface, except that unreadable or half-written files leave the ones before in use. */
export class WatchedCertificates implements Provider {
  readonly #files: CertificateFiles;
  readonly #log: Log;
  #loaded: Loaded;
  #timer: NodeJS.Timeout | null = null;
  readonly #authorityListeners = new Set<AuthorityListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #changeListeners = new Set<() => void>();

  private constructor(files: CertificateFiles, loaded: Loaded, log: Log) {
    this.#files = files;
    this.#loaded = loaded;
    this.#log = log;
  }

  /** Throws ControllerError CTL_CERTIFICATES when the files can't be read or don't fit together. */
  static async open(files: CertificateFiles, log: Log): Promise<WatchedCertificates> {
    const watched = new WatchedCertificates(files, await load(files), log);
    watched.#timer = setInterval(() => void watched.refresh(), REFRESH_MS);
    watched.#timer.unref();
    return watched;
  }

  get current(): Loaded {
    return this.#loaded;
  }

  /** When the certificate runs out, ms since the epoch. */
  get expiresAtMs(): number {
    return new X509Certificate(this.#loaded.certificate).validToDate.getTime();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  onChange(listener: () => void): void {
    this.#changeListeners.add(listener);
  }

  /** Reads the files now. What does not load is logged and changes nothing. */
  async refresh(): Promise<void> {
    let next: Loaded;
    try {
      next = await load(this.#files);
    } catch (error) {
      this.#log.error({ event: 'certificates', error: describeError(error) }, 'the certificates before stay in use');
      return;
    }
    const before = this.#loaded;
    this.#loaded = next;
    const identity = !before.certificate.equals(next.certificate) || !before.privateKey.equals(next.privateKey);
    const authority = before.authority?.toString() !== next.authority?.toString();
    if (!identity && !authority) return;
    this.#log.info({ event: 'certificates', file: this.#files.certificateFile }, 'certificates read again');
    for (const listener of this.#identityListeners) listener(this.#identity());
    for (const listener of this.#authorityListeners) listener(this.#authority());
    for (const listener of this.#changeListeners) listener();
  }

  addCaCertificateListener(listener: AuthorityListener): void {
    this.#authorityListeners.add(listener);
    // Not at once: grpc-js registers its own watcher of the outcome only after this call.
    process.nextTick(() => listener(this.#authority()));
  }

  removeCaCertificateListener(listener: AuthorityListener): void {
    this.#authorityListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    process.nextTick(() => listener(this.#identity()));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  /** Null tells grpc-js that nobody can be verified. */
  #authority(): { caCertificate: Buffer } | null {
    const { authority } = this.#loaded;
    return authority === null ? null : { caCertificate: authority };
  }

  #identity(): { certificate: Buffer; privateKey: Buffer } {
    return { certificate: this.#loaded.certificate, privateKey: this.#loaded.privateKey };
  }
}

async function load(files: CertificateFiles): Promise<Loaded> {
  try {
    const [certificate, privateKey, authority] = await Promise.all([
      readFile(files.certificateFile),
      readFile(files.keyFile),
      files.authorityFile === null ? null : readFile(files.authorityFile),
    ]);
    // Throws when the key is not the certificate's, or any of it is no PEM.
    createSecureContext({ cert: certificate, key: privateKey, ...(authority === null ? {} : { ca: authority }) });
    if (authority !== null) new X509Certificate(authority);
    return { certificate, privateKey, authority };
  } catch (cause) {
    throw new ControllerError('CTL_CERTIFICATES', `can't use ${files.certificateFile}`, { cause });
  }
}
