/** How the stream to the controller is secured, out of the settings. */

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly serverName: string;
}

/** The settings that decide. */
export interface TlsSettings {
  readonly TIDEGATE_CONTROLLER: readonly string[];
  readonly TIDEGATE_TLS_CERT: string;
  readonly TIDEGATE_TLS_KEY: string;
  readonly TIDEGATE_TLS_CA: string;
  readonly TIDEGATE_TLS_SERVER_NAME: string;
  readonly TIDEGATE_INSECURE_CONTROLLER: boolean;
}

/** Null: without TLS (unix sockets, or loopback when the operator said so). Mistakes are added to `errors`. */
export function tlsOf(values: TlsSettings, errors: string[]): TlsFiles | null {
  const files = { cert: values.TIDEGATE_TLS_CERT, key: values.TIDEGATE_TLS_KEY, ca: values.TIDEGATE_TLS_CA };
  const overNetwork = values.TIDEGATE_CONTROLLER.filter((address) => !address.startsWith('unix:'));
  for (const address of overNetwork) {
    if (!/^[^\s/]+:\d{1,5}$/.test(address)) {
      errors.push(`TIDEGATE_CONTROLLER: ${JSON.stringify(address)} must be host:port or unix:/path`);
    }
  }
  const given = Object.values(files).filter((file) => file !== '').length;
  if (given === 3) return { ...files, serverName: values.TIDEGATE_TLS_SERVER_NAME };
  if (given > 0) {
    const missing = Object.entries(files).filter(([, file]) => file === '');
    errors.push(
      `${missing.map(([name]) => `TIDEGATE_TLS_${name.toUpperCase()}`).join(' and ')} must be set too: certificate, key and CA belong together`,
    );
    return null;
  }
  if (overNetwork.length === 0) return null;
  if (!values.TIDEGATE_INSECURE_CONTROLLER) {
    errors.push(
      `TIDEGATE_TLS_CERT, TIDEGATE_TLS_KEY and TIDEGATE_TLS_CA must be set for ${overNetwork.join(', ')} (or TIDEGATE_INSECURE_CONTROLLER=true for a loopback address)`,
    );
    return null;
  }
  for (const address of overNetwork) {
    if (!isLoopback(address)) {
      errors.push(
        `TIDEGATE_INSECURE_CONTROLLER=true is for loopback addresses only, not ${address}: set the TIDEGATE_TLS_* files`,
      );
    }
  }
  return null;
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':'));
  return /^127(\.\d{1,3}){3}$/.test(host) || host === '[::1]' || host === 'localhost';
}
