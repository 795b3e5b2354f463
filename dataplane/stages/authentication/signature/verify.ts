/** Checks one signature with one key (RFC 9421 section 3.3). The key says the algorithm, never the request (section 7.3.6). */
import { constants, createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import type { SignatureAlgorithm } from '../../../snapshot/signature-algorithms.ts';

export type Verify = (base: string, signature: Buffer) => boolean;

/** Throws Error with a message for the operator where the key is not one of this algorithm. */
export function createVerify(algorithm: SignatureAlgorithm, key: string): Verify {
  if (algorithm === 'hmac-sha256') {
    const secret = Buffer.from(key, 'base64');
    return (base, signature) => {
      const expected = createHmac('sha256', secret).update(base, 'latin1').digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    };
  }
  const publicKey = createPublicKey(key);
  const { asymmetricKeyType, asymmetricKeyDetails } = publicKey;
  const fits = KEY_TYPES[algorithm].includes(asymmetricKeyType ?? '');
  if (!fits || (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve !== 'prime256v1'))
    throw new Error(`the key is of type ${asymmetricKeyType}, which is not one of ${algorithm}`);
  return checks[algorithm](publicKey);
}

type Asymmetric = Exclude<SignatureAlgorithm, 'hmac-sha256'>;

const KEY_TYPES: Readonly<Record<Asymmetric, readonly string[]>> = {
  ed25519: ['ed25519'],
  'ecdsa-p256-sha256': ['ec'],
  'rsa-pss-sha512': ['rsa', 'rsa-pss'],
  'rsa-v1_5-sha256': ['rsa'],
};

/**
 * In this thread: it takes 20 to 120 µs (bench/access.ts), others wait no longer than that, and a signature is seen once only, so that there
 * is nothing to remember.
 */
const checks: Readonly<Record<Asymmetric, (key: KeyObject) => Verify>> = {
  ed25519: (key) => (base, signature) => verify(null, bytes(base), key, signature),
  'ecdsa-p256-sha256': (key) => {
    const options = { key, dsaEncoding: 'ieee-p1363' } as const;
    return (base, signature) => verify('sha256', bytes(base), options, signature);
  },
  'rsa-pss-sha512': (key) => {
    const options = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 };
    return (base, signature) => verify('sha512', bytes(base), options, signature);
  },
  'rsa-v1_5-sha256': (key) => (base, signature) => verify('sha256', bytes(base), key, signature),
};

/** Fields are bytes, one character each. */
function bytes(base: string): Buffer {
  return Buffer.from(base, 'latin1');
}
