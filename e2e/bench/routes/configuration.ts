/** 500 routes on 50 hosts, each with a header match and two header edits, as a user of each proxy writes them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EDITS } from '../access/what.ts';
import { bodies } from '../peers/backend.ts';
import { type NginxFeatures, startNginx } from '../peers/nginx.ts';
import type { Peer } from '../peers/peer.ts';
import { backendAt, startTidegate, type Variant } from '../peers/tidegate.ts';

export const HOSTS = 50;
export const ROUTES_A_HOST = 10;
export const MATCH = { name: 'x-tier', value: 'gold' } as const;

export const hostOf = (host: number) => `h${host}.bench.test`;
export const prefixOf = (route: number) => `/team-${route}`;

/** One Route a path: 500 objects. */
const routes: Variant = {
  files: ({ endpoints }) => ({
    'backend.yaml': backendAt(endpoints),
    ...Object.fromEntries(numbers(HOSTS).map((host) => [`host-${host}.yaml`, routesOf(host)])),
  }),
};

function routesOf(host: number): string {
  const documents = numbers(ROUTES_A_HOST).map((route) => ({
    apiVersion: 'tidegate.dev/v1alpha1',
    kind: 'Route',
    metadata: { name: `h${host}-${route}`, namespace: 'bench' },
    spec: {
      hosts: [hostOf(host)],
      rules: [
        {
          name: 'all',
          matches: [{ path: { prefix: prefixOf(route) }, headers: [{ name: MATCH.name, exact: MATCH.value }] }],
          headers: { request: { set: [EDITS.request] }, response: { set: [EDITS.response] } },
          backends: [{ name: 'backend' }],
        },
      ],
    },
  }));
  return documents.map((document) => `${JSON.stringify(document)}\n`).join('---\n');
}

/** A server a host, a location a path, the header by a map, a buffered log, its own status page. */
const nginxRoutes: NginxFeatures = {
  log: true,
  http: [`map $http_${MATCH.name.replaceAll('-', '_')} $other { default 1; ${MATCH.value} 0; }`],
  servers: (port, proxying) => {
    const edits = `proxy_set_header ${EDITS.request.name} ${EDITS.request.value};\n      add_header ${EDITS.response.name} ${EDITS.response.value};`;
    const locations = numbers(ROUTES_A_HOST).map(
      (route) => `location ${prefixOf(route)}/ {
      if ($other) { return 404; }
      ${proxying}
      ${edits}
    }`,
    );
    const servers = numbers(HOSTS).map(
      (host) => `server {
    listen 127.0.0.1:${port}${host === 0 ? ' default_server backlog=4096' : ''};
    server_name ${hostOf(host)};
    location = /status { stub_status; }
    ${locations.join('\n    ')}
  }`,
    );
    return servers.join('\n  ');
  },
};

export const routesPeers: readonly Peer[] = [
  {
    name: 'nginx',
    about: '50 servers of 10 locations, a map, two edits, buffered access log',
    needs: ['nginx'],
    start: (context) => startNginx(context, nginxRoutes),
  },
  {
    name: 'tidegate',
    about: '500 Routes on 50 hosts, header match, two edits, access log, metrics',
    needs: [],
    start: (context) => startTidegate(context, routes),
  },
];

/** Headers of the first route's requests. */
export const FIRST = { host: hostOf(0), [MATCH.name]: MATCH.value };
export const FIRST_PATH = prefixOf(0) + bodies.small.path;

/** Lua for wrk: all routes in turn. */
export function writeRoutesScript(dir: string): string {
  const file = join(dir, 'routes.lua');
  writeFileSync(
    file,
    `local requests, at = {}, 0

function init()
  for i = 0, ${HOSTS * ROUTES_A_HOST - 1} do
    local n = (i * 37) % ${HOSTS * ROUTES_A_HOST}
    local headers = { Host = "h" .. math.floor(n / ${ROUTES_A_HOST}) .. ".bench.test", ["${MATCH.name}"] = "${MATCH.value}" }
    requests[#requests + 1] = wrk.format("GET", "${prefixOf(0).slice(0, -1)}" .. (n % ${ROUTES_A_HOST}) .. "${bodies.small.path}", headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
`,
  );
  return file;
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
