/** Places of credentials. */
import type { CredentialPlace } from '@tidegate/dataplane/snapshot/sections/authentication/source';
import type { CredentialPlaceSpec } from '../../../api/v1alpha1/sections/authentication/place.ts';

export function compilePlace({ header, scheme, query, cookie }: CredentialPlaceSpec): CredentialPlace {
  if (query !== undefined) return { in: 'query', name: query };
  if (cookie !== undefined) return { in: 'cookie', name: cookie };
  return { in: 'header', name: (header ?? '').toLowerCase(), scheme: scheme ?? '' };
}
