/** A real identity provider (npm oidc-provider) as a program of its own, so that it can be stopped, killed and silenced. */
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const { PORT = '', JWKS_FILE = '', CLIENT_ID = '', CLIENT_SECRET = '' } = process.env;

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  jwks: JSON.parse(readFileSync(JWKS_FILE, 'utf8')),
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: ['a key of a test'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
  },
  ttl: { ClientCredentials: 3600 },
});
const server = provider.listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
