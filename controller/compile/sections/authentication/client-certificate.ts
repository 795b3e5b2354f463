/** Client certificates. */
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import type { ClientCertificateSpec } from '../../../api/v1alpha1/sections/authentication/client-certificate.ts';
import { compileCertificateMatch } from '../../certificate-match.ts';

export function compileClientCertificate(
  { consumer, allow, forwardCertificate }: ClientCertificateSpec,
  name: string,
): AuthenticationMethod {
  return {
    kind: 'clientCertificate',
    name,
    consumer,
    ...(allow === undefined ? {} : { allow: compileCertificateMatch(allow) }),
    forward: forwardCertificate,
    keepCredential: false,
  };
}
