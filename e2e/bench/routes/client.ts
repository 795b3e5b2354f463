/** Asks with a Host field of its own, which `fetch` does not send. */
import http from 'node:http';
import type { Client } from '../client.ts';
import { load } from '../measure.ts';

export const hostClient: Client = { scheme: 'http', answers, load };

function answers(url: string, content: string, headers: Readonly<Record<string, string>> = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get(url, { headers, timeout: 5000, agent: false }, (response) => {
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
