/** The gateway's own credentials in a request to an authorization server (RFC 6749 section 2.3.1). */
import type { OutboundRequest } from '../../../outbound/message.ts';
import type { OauthClient } from '../../../snapshot/sections/authentication/client.ts';
import type { StageContext } from '../../context.ts';
import type { Secret } from '../../secret.ts';
import { StageError } from '../../stage-error.ts';

/** Throws StageError; `field` is the path of the client within the section. */
export function clientSecretOf({ secret }: OauthClient, context: StageContext, field: string): Secret {
  const found = context.secret(secret);
  if (found === undefined) throw new StageError(`${field}.secret`, `there is no ${secret}, or it was rejected`);
  return found;
}

export function formRequest(
  url: string,
  form: Readonly<Record<string, string>>,
  { id, authentication }: OauthClient,
  secret: Secret,
): Pick<OutboundRequest, 'method' | 'url' | 'headers' | 'body'> {
  const body = new URLSearchParams(form);
  const headers: Record<string, string> = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  };
  if (authentication === 'post') {
    body.set('client_id', id);
    body.set('client_secret', secret.text());
  } else {
    const pair = `${formEncoded(id)}:${formEncoded(secret.text())}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  return { method: 'POST', url, headers, body: body.toString() };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice('x='.length);
}
