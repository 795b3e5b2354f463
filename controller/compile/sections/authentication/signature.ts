/** Keys of Secrets for message signatures. What is no public key closes the section; no message holds a key. */
import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';
import type { CredentialEntries } from '@tidegate/dataplane/snapshot/credentials';
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from '@tidegate/dataplane/snapshot/signature-algorithms';
import { durationMs } from '../../../api/duration.ts';
import type { SignatureSpec } from '../../../api/v1alpha1/sections/authentication/signature.ts';
import type { SecretObject } from '../../../store/objects.ts';
import { groupsOf, type SectionContext, secretText } from '../context.ts';

type Path = readonly (string | number)[];
type Key = Extract<CredentialEntries, { type: 'signature' }>['keys'][number];

const DEFAULT_COMPONENTS = ['@method', '@authority', '@path', '@query'];
const DEFAULT_MAX_AGE = '5m';
const DEFAULT_SKEW = '10s';
/** RFC 2104: not shorter than the hash. */
const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;

export function compileSignature(
  spec: SignatureSpec,
  name: string,
  context: SectionContext,
  path: Path,
): AuthenticationMethod {
  const secrets = context.secrets(spec.secretRefs ?? [], spec.secretSelector, path);
  const seen = new Map<string, string>();
  return {
    kind: 'signature',
    name,
    credentials: secrets.map((secret) => emitKeys(secret, context, path, seen)),
    components: spec.components ?? DEFAULT_COMPONENTS,
    maxBodyBytes: spec.body === 'Verified' ? spec.maxBodyBytes : 0,
    maxAgeMs: Math.max(1000, durationMs(spec.maxAge ?? DEFAULT_MAX_AGE)),
    skewMs: durationMs(spec.clockSkew ?? DEFAULT_SKEW),
    ...(spec.tag === undefined ? {} : { tag: spec.tag }),
    nonce: ({ Required: 'required', Checked: 'checked', Ignored: 'ignored' } as const)[spec.nonce],
    nonceStore: ({ Memory: 'memory', Redis: 'redis' } as const)[spec.nonceStore],
    keepCredential: spec.keepCredential,
  };
}

/** `seen`: keyid → the Secret that has it. */
function emitKeys(secret: SecretObject, context: SectionContext, path: Path, seen: Map<string, string>): string {
  const { namespace, name } = secret.metadata;
  const groups = groupsOf(secret);
  const keys: Key[] = [];
  for (const [consumer, value] of Object.entries(secret.data ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const read of readKeys(secretText(value), consumer)) {
      const taken = typeof read === 'string' ? undefined : seen.get(read.keyId);
      const wrong =
        typeof read === 'string' ? read : taken === undefined ? null : `its keyid ${read.keyId} is also in ${taken}`;
      if (wrong !== null) context.problem(path, 'SecretInvalid', `Secret ${namespace}/${name}, ${consumer}: ${wrong}`);
      else if (typeof read !== 'string') {
        seen.set(read.keyId, `Secret ${namespace}/${name}, ${consumer}`);
        keys.push({ ...read, consumer, groups });
      }
    }
  }
  const id = `credentials/${context.policy.namespace}/${context.policy.name}/${name}/signature`;
  context.emit({ kind: 'credentials', id, source: `${namespace}/${name}`, entries: { type: 'signature', keys } });
  return id;
}

type Read = Pick<Key, 'keyId' | 'algorithm' | 'key'> | string;

/** Keys, or what is wrong with them. */
function readKeys(text: string, consumer: string): Read[] {
  if (text.trimStart().startsWith('-----BEGIN')) return [readKey({ key: text }, consumer)];
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return ['is neither a public key in PEM nor JSON'];
  }
  const list = Array.isArray(document) ? document : [document];
  if (list.length === 0) return ['holds no key'];
  return list.map((one) =>
    typeof one === 'object' && one !== null
      ? readKey(one as Record<string, unknown>, consumer)
      : 'holds what is no object',
  );
}

function readKey(entry: Record<string, unknown>, consumer: string): Read {
  const { keyId = consumer, algorithm, key } = entry;
  if (typeof keyId !== 'string' || !/^[ -~]{1,256}$/.test(keyId)) return 'keyId must be 1 to 256 characters of ASCII';
  if (algorithm !== undefined && !SIGNATURE_ALGORITHMS.includes(algorithm as SignatureAlgorithm))
    return `${JSON.stringify(algorithm).slice(0, 40)} is no algorithm: take one of ${SIGNATURE_ALGORITHMS.join(', ')}`;
  if (algorithm === 'hmac-sha256') return readSecret(keyId, key);
  const publicKey = readPublicKey(key);
  if (typeof publicKey === 'string') return publicKey;
  const own = algorithmsOf(publicKey);
  if (own.length === 0) return 'is of a type that no algorithm is for (Ed25519, P-256, RSA of 2048 bits or more)';
  const chosen = (algorithm as SignatureAlgorithm | undefined) ?? (own[0] as SignatureAlgorithm);
  if (!own.includes(chosen)) return `its key is for ${own.join(' or ')}, not for ${chosen}`;
  return { keyId, algorithm: chosen, key: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

function readSecret(keyId: string, key: unknown): Read {
  const secret = typeof key === 'string' && /^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(key) ? Buffer.from(key, 'base64') : null;
  if (secret === null || secret.length < MIN_SECRET_BYTES)
    return `key must be the base64 of at least ${MIN_SECRET_BYTES} bytes for hmac-sha256`;
  return { keyId, algorithm: 'hmac-sha256', key: secret.toString('base64') };
}

function readPublicKey(key: unknown): KeyObject | string {
  const jwk = typeof key === 'object' && key !== null ? (key as JsonWebKeyInput['key'] & { d?: unknown }) : null;
  if (jwk?.d !== undefined || (typeof key === 'string' && key.includes('PRIVATE KEY')))
    return 'holds a private key: keep it with the signer, and put its public key here';
  try {
    if (jwk !== null) return createPublicKey({ key: jwk, format: 'jwk' });
    return createPublicKey(String(key));
  } catch {
    return 'key must be a public key in PEM, or as a JWK';
  }
}

/** The first is what is taken where none is named. */
function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SignatureAlgorithm[] {
  const { namedCurve, modulusLength = 0 } = asymmetricKeyDetails ?? {};
  switch (asymmetricKeyType) {
    case 'ed25519':
      return ['ed25519'];
    case 'ec':
      return namedCurve === 'prime256v1' ? ['ecdsa-p256-sha256'] : [];
    case 'rsa':
      return modulusLength >= MIN_RSA_BITS ? ['rsa-pss-sha512', 'rsa-v1_5-sha256'] : [];
    case 'rsa-pss':
      return modulusLength >= MIN_RSA_BITS ? ['rsa-pss-sha512'] : [];
    default:
      return [];
  }
}
