/** A small browser for tests: cookies by host and port, redirects followed one at a time. */
import http from 'node:http';

export interface Page {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly url: string;
}

interface Cookie {
  readonly value: string;
  readonly untilMs: number;
}

export class Browser {
  /** By authority, then by name. */
  readonly cookies = new Map<string, Map<string, Cookie>>();

  /** Asks as for a page, unless `headers` say otherwise; follows nothing. A connection of its own each time. */
  get(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Page> {
    const cookie = this.header(url);
    return new Promise((resolve, reject) => {
      const request = http.request(
        url,
        { method, agent: false, headers: { accept: 'text/html', ...(cookie !== '' && { cookie }), ...headers } },
        (response) => {
          this.#keep(url, response.headers['set-cookie'] ?? []);
          let body = '';
          response.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body, url }));
          response.on('error', reject);
        },
      );
      request.on('error', reject).end();
    });
  }

  /** As a script in a page does. */
  fetch(url: string): Promise<Page> {
    return this.get(url, { accept: '*/*', 'sec-fetch-mode': 'cors' });
  }

  /** Follows redirects until there is none, or `stop` says so of the next address. */
  async visit(url: string, stop: (next: string) => boolean = () => false): Promise<Page> {
    let page = await this.get(url);
    for (let i = 0; i < 20; i++) {
      const { location } = page.headers;
      if (location === undefined) return page;
      const next = new URL(location, page.url).href;
      if (stop(next)) return page;
      page = await this.get(next);
    }
    throw new Error(`too many redirects, at last to ${page.headers.location}`);
  }

  /** As it would be sent. */
  header(url: string): string {
    const jar = this.cookies.get(new URL(url).host) ?? new Map<string, Cookie>();
    const live = [...jar].filter(([, { untilMs }]) => untilMs > Date.now());
    return live.map(([name, { value }]) => `${name}=${value}`).join('; ');
  }

  names(url: string): string[] {
    return this.header(url)
      .split('; ')
      .map((pair) => pair.split('=', 1)[0] ?? '')
      .filter((name) => name !== '');
  }

  #keep(url: string, values: readonly string[]): void {
    const { host } = new URL(url);
    const jar = this.cookies.get(host) ?? new Map<string, Cookie>();
    this.cookies.set(host, jar);
    for (const one of values) {
      const [pair = '', ...attributes] = one.split(/; */);
      const at = pair.indexOf('=');
      const attribute = (name: string) =>
        attributes.find((text) => text.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
      const age = attribute('max-age');
      const expires = attribute('expires');
      const untilMs =
        age !== undefined
          ? Date.now() + Number(age) * 1000
          : expires !== undefined
            ? Date.parse(expires)
            : Number.POSITIVE_INFINITY;
      jar.set(pair.slice(0, at), { value: pair.slice(at + 1), untilMs });
    }
  }
}
