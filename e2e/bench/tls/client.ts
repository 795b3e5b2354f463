/** Asks over TLS with whatever certificate; load by `wrk`, which keeps connections, or with `Connection: close` makes each anew. */
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import type { Client } from '../client.ts';
import { load } from '../measure.ts';

export const tlsClient: Client = { scheme: 'https', answers, load };

/** wrk goes on with the same SSL object, so that 96 of 100 connections take up the session of the one before: few are full handshakes. */
export function writeCloseScript(dir: string): string {
  const file = join(dir, 'close.lua');
  writeFileSync(file, 'wrk.headers["Connection"] = "close"\n');
  return file;
}

function answers(url: string, content: string, headers: Readonly<Record<string, string>> = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { headers, timeout: 5000, agent: false, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const;
    const request = https.get(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(response.statusCode === 200 && text === content));
      response.on('error', () => resolve(false));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
