/** Certificates and CAs that objects name by Secret, checked so far that a data plane can use them. Pure. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { ProblemReason } from '../api/problem.ts';
import type { SecretObject } from '../store/objects.ts';

/** Secrets of all namespaces, as the store holds them. */
export interface SecretSource {
  readonly watched: boolean;
  get(namespace: string, name: string): SecretObject | undefined;
}

/** Why a Secret can't be used; holds nothing of its content. */
export interface SecretFault {
  readonly reason: Extract<ProblemReason, 'CertificateNotFound' | 'InvalidCertificate'>;
  readonly message: string;
}

export interface KeyPair {
  /** PEM, the leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
}

export interface Authorities {
  /** PEM, one or more. */
  readonly authorities: string;
}

/** A certificate with its key: `tls.crt` and `tls.key`, as in Secrets of type kubernetes.io/tls. */
export function keyPairOf(source: SecretSource, namespace: string, name: string): KeyPair | SecretFault {
  const found = entries(source, namespace, name, ['tls.crt', 'tls.key']);
  if ('reason' in found) return found;
  const [chain = '', key = ''] = found.texts;
  const fault = (what: string): SecretFault => invalid(namespace, name, what);
  const certificates = parseCertificates(chain);
  if (typeof certificates === 'string') return fault(`tls.crt ${certificates}`);
  try {
    if (!certificates[0]?.checkPrivateKey(createPrivateKey(key))) return fault('tls.key is not the key of tls.crt');
  } catch {
    return fault('tls.key is not a private key in PEM without a pass phrase');
  }
  return { chain, key };
}

/** CAs to be trusted: `ca.crt`. */
export function authoritiesOf(source: SecretSource, namespace: string, name: string): Authorities | SecretFault {
  const found = entries(source, namespace, name, ['ca.crt']);
  if ('reason' in found) return found;
  const [authorities = ''] = found.texts;
  const certificates = parseCertificates(authorities);
  if (typeof certificates === 'string') return invalid(namespace, name, `ca.crt ${certificates}`);
  return { authorities };
}

function entries(
  source: SecretSource,
  namespace: string,
  name: string,
  keys: readonly string[],
): { readonly texts: readonly string[] } | SecretFault {
  const secret = source.get(namespace, name);
  if (secret === undefined) {
    const message = source.watched
      ? `Secret ${namespace}/${name} does not exist`
      : `Secret ${namespace}/${name} can't be looked up: this controller watches no Secrets (TIDEGATE_SECRETS=true; chart: controller.secrets.watch)`;
    return { reason: 'CertificateNotFound', message };
  }
  const texts = keys.map((key) => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('latin1'));
  const missing = keys.find((_key, i) => texts[i] === '');
  if (missing !== undefined) return invalid(namespace, name, `there is nothing under ${missing}`);
  const long = keys.find((_key, i) => (texts[i] as string).length > MAX_CHARACTERS);
  return long === undefined ? { texts } : invalid(namespace, name, `${long} is longer than ${MAX_CHARACTERS} bytes`);
}

function invalid(namespace: string, name: string, what: string): SecretFault {
  return { reason: 'InvalidCertificate', message: `Secret ${namespace}/${name}: ${what}` };
}

/** All of a PEM text, or what is wrong with it. */
function parseCertificates(text: string): X509Certificate[] | string {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const begun = text.split('-----BEGIN ').length - 1;
  if (blocks.length === 0 || blocks.length !== begun) return 'is not a certificate in PEM';
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return 'holds a certificate that is broken';
  }
}

/** The contract's own bound of a chain and a key. */
const MAX_CHARACTERS = 131_072;
