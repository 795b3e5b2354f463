import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './process.ts';

const validDays = '3650';

/** Paths of a certificate and its key, PEM. */
export interface CertificateFiles {
  cert: string;
  key: string;
}

export interface CertificateRequest {
  /** File name without ending. */
  name: string;
  commonName: string;
  /** Becomes the groups of the user in Kubernetes. */
  organization?: string;
  /** `DNS:name` and `IP:address` entries; makes it a server certificate. */
  alternativeNames?: readonly string[];
}

/** A self-signed authority `NAME.crt`, `NAME.key` in `directory`; its name is also its DNS name. */
export async function createAuthority(directory: string, name: string): Promise<CertificateFiles> {
  const files = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  await run([
    ...[
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      validDays,
    ],
    ...['-keyout', files.key, '-out', files.cert, '-subj', `/CN=${name}`],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature', '-addext', `subjectAltName=DNS:${name}`],
  ]);
  return files;
}

/** A certificate signed by `authority`, for a client, and for a server where it has alternative names. */
export async function issueCertificate(
  directory: string,
  authority: CertificateFiles,
  request: CertificateRequest,
): Promise<CertificateFiles> {
  const files = { cert: join(directory, `${request.name}.crt`), key: join(directory, `${request.name}.key`) };
  const names = request.alternativeNames ?? [];
  await run([
    ...['openssl', 'req', '-x509', '-CA', authority.cert, '-CAkey', authority.key],
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', validDays],
    ...['-keyout', files.key, '-out', files.cert, '-subj', subject(request)],
    ...['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'keyUsage=critical,digitalSignature'],
    ...['-addext', `extendedKeyUsage=clientAuth${names.length > 0 ? ',serverAuth' : ''}`],
    ...(names.length > 0 ? ['-addext', `subjectAltName=${names.join(',')}`] : []),
  ]);
  return files;
}

/** The key pair service-account tokens are signed with: `NAME.key` and `NAME.pub`. */
export function createSigningKey(directory: string, name: string): { key: string; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const files = { key: join(directory, `${name}.key`), publicKey: join(directory, `${name}.pub`) };
  writeFileSync(files.key, privateKey, { mode: 0o600 });
  writeFileSync(files.publicKey, publicKey);
  return files;
}

/** A kubeconfig with the certificates inside, so that it can be copied. */
export function writeKubeconfig(path: string, server: string, authorityCert: string, user: CertificateFiles): void {
  const base64 = (file: string) => readFileSync(file).toString('base64');
  const lines = [
    'apiVersion: v1',
    'kind: Config',
    'clusters:',
    '  - name: tidegate',
    '    cluster:',
    `      server: ${server}`,
    `      certificate-authority-data: ${base64(authorityCert)}`,
    'users:',
    '  - name: tidegate',
    '    user:',
    `      client-certificate-data: ${base64(user.cert)}`,
    `      client-key-data: ${base64(user.key)}`,
    'contexts:',
    '  - name: tidegate',
    '    context: { cluster: tidegate, user: tidegate }',
    'current-context: tidegate',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
}

function subject(request: CertificateRequest): string {
  return `${request.organization === undefined ? '' : `/O=${request.organization}`}/CN=${request.commonName}`;
}
