/** What the machine says about names: its hosts file, and the search domains of resolv.conf. Pure. */

/** resolv.conf(5); more than any of its readers takes. */
const MAX_SEARCH = 32;
const MAX_NDOTS = 15;

/** hosts(5): addresses by name in lower case, in the order of the file. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...names] = words(line.split('#', 1)[0] ?? '');
    if (address === undefined) continue;
    for (const name of names) {
      const addresses = hosts.get(name.toLowerCase()) ?? [];
      hosts.set(name.toLowerCase(), addresses);
      if (!addresses.includes(address)) addresses.push(address);
    }
  }
  return hosts;
}

export interface SearchRules {
  readonly domains: readonly string[];
  /** A name with fewer dots is tried in the search domains first. */
  readonly ndots: number;
}

/** resolv.conf(5): the last `search` or `domain` counts. */
export function parseSearchRules(text: string): SearchRules {
  let domains: string[] = [];
  let ndots = 1;
  for (const line of text.split('\n')) {
    if (/^\s*[#;]/.test(line)) continue;
    const [keyword, ...rest] = words(line);
    if (keyword === 'search') domains = rest.slice(0, MAX_SEARCH);
    else if (keyword === 'domain') domains = rest.slice(0, 1);
    else if (keyword === 'options') {
      for (const option of rest) {
        const given = /^ndots:(\d{1,4})$/.exec(option)?.[1];
        if (given !== undefined) ndots = Math.min(MAX_NDOTS, Number(given));
      }
    }
  }
  return { domains: domains.map((domain) => domain.toLowerCase().replace(/\.$/, '')).filter(Boolean), ndots };
}

/** Whole names to ask for, in this order, the first that exists being the one meant (as the C library does). No dot at their ends. */
export function candidates(name: string, { domains, ndots }: SearchRules): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const searched = domains.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= ndots ? [name, ...searched] : [...searched, name];
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== '');
}
