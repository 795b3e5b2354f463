/** What TLS says of a client's connection. */
export interface TlsPeer {
  /** The server name the client asked for (SNI, RFC 6066 section 3), lower-case; empty: none. */
  readonly serverName: string;
  readonly version: 'TLSv1.2' | 'TLSv1.3';
  /** What the client proved to hold, verified against the CA of its host; null: it showed none, or the host does not ask. */
  readonly certificate: PeerCertificate | null;
  /** What the connection was opened for, as the runtime knows it (runtime/tls); absent: nothing that could be compared with others. */
  readonly opened?: object;
}

/** An X.509 certificate of a client, of which only what is looked at is kept. */
export interface PeerCertificate {
  /** Distinguished name as RFC 4514 writes it: `CN=client,O=Acme`. */
  readonly subject: string;
  /** Empty: it has none. */
  readonly commonName: string;
  /** Subject alternative names, in their order. */
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
  /** The one URI of scheme spiffe (SPIFFE X.509-SVID section 2); empty: none, or several. */
  readonly spiffeId: string;
  /** SHA-256 of the DER form, hex. */
  readonly fingerprint: string;
}
