/**
 * Users handed on by the API server's aggregation layer ("Configure the Aggregation Layer", kubernetes.io): a request whose
 * client certificate the request-header authority signed, for one of the allowed names, is from the front proxy, and its
 * headers say who the user is. Anyone else's headers say nothing. Pure.
 */

/** The content of the ConfigMap kube-system/extension-apiserver-authentication that matters here. */
export interface RequestHeaderConfig {
  /** PEM */
  readonly authority: string;
  /** Common names; empty: every certificate of the authority. */
  readonly allowedNames: readonly string[];
  /** Header names, lower-case. */
  readonly userHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraPrefixes: readonly string[];
}

export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Of the TLS connection; `verified` by exactly the authority of the config. */
export interface PeerIdentity {
  readonly verified: boolean;
  readonly commonName: string;
}

/** Null when the ConfigMap lacks what is needed: then nobody is let in by headers. */
export function parseRequestHeaderConfig(
  data: Readonly<Record<string, string>> | undefined,
): RequestHeaderConfig | null {
  const authority = data?.['requestheader-client-ca-file'];
  const userHeaders = names(data?.['requestheader-username-headers']);
  if (authority === undefined || authority.trim() === '' || userHeaders === null || userHeaders.length === 0)
    return null;
  const allowedNames = names(data?.['requestheader-allowed-names'], false);
  const uidHeaders = names(data?.['requestheader-uid-headers']);
  const groupHeaders = names(data?.['requestheader-group-headers']);
  const extraPrefixes = names(data?.['requestheader-extra-headers-prefix']);
  // A list that can't be read is not an empty one: an empty list of names would allow everybody.
  if (allowedNames === null || uidHeaders === null || groupHeaders === null || extraPrefixes === null) return null;
  return { authority, allowedNames, userHeaders, uidHeaders, groupHeaders, extraPrefixes };
}

/** Null: not the front proxy, or no user named. */
export function userOfHeaders(
  config: RequestHeaderConfig,
  peer: PeerIdentity,
  headers: Readonly<Record<string, readonly string[] | undefined>>,
): User | null {
  if (!peer.verified) return null;
  if (config.allowedNames.length > 0 && !config.allowedNames.includes(peer.commonName)) return null;
  const first = (wanted: readonly string[]): string => {
    for (const name of wanted) {
      const value = headers[name]?.[0];
      if (value !== undefined && value !== '') return value;
    }
    return '';
  };
  const name = first(config.userHeaders);
  if (name === '') return null;
  const extra: Record<string, string[]> = {};
  for (const [header, values] of Object.entries(headers)) {
    const prefix = config.extraPrefixes.find((one) => header.startsWith(one) && header.length > one.length);
    if (prefix === undefined) continue;
    const key = decode(header.slice(prefix.length));
    const held = Object.hasOwn(extra, key) ? (extra[key] as string[]) : [];
    Object.defineProperty(extra, key, { value: [...held, ...(values ?? [])], enumerable: true, configurable: true });
  }
  const groups = config.groupHeaders.flatMap((header) => headers[header] ?? []);
  return { name, uid: first(config.uidHeaders), groups: withAuthenticated(name, groups), extra };
}

/**
 * As Kubernetes' own aggregated servers do it (AuthenticatedGroupAdder): the API server's own requests name a user and no
 * group, and rights to discovery are given to the group of all authenticated users.
 */
function withAuthenticated(name: string, groups: readonly string[]): readonly string[] {
  if (name === 'system:anonymous' || groups.includes(AUTHENTICATED) || groups.includes('system:unauthenticated'))
    return groups;
  return [...groups, AUTHENTICATED];
}

const AUTHENTICATED = 'system:authenticated';

/** A JSON array of strings; absent is empty, anything else null. */
function names(json: string | undefined, lower = true): string[] | null {
  if (json === undefined || json === '') return [];
  try {
    const value: unknown = JSON.parse(json);
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) return null;
    return value.map((one) => (lower ? one.toLowerCase() : one));
  } catch {
    return null;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
