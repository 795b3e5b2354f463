/** The backend all proxies share: nginx answering from memory, or a file by sendfile. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Program, type Programs, untilReady } from '../programs.ts';

export interface Body {
  readonly path: string;
  readonly bytes: number;
  readonly content: string;
}

const small =
  '{"id":42,"item":"tide table","price":{"amount":"12.50","currency":"EUR"},"inStock":true,"tags":["a","b","c","d"]}';

export const bodies = {
  small: { path: '/small', bytes: small.length, content: small },
  kib: { path: '/kib', bytes: 1024, content: 'tide'.repeat(256) },
  large: { path: '/large', bytes: 65_536, content: 'tide'.repeat(16_384) },
  mib: { path: '/mib', bytes: 1_048_576, content: 'tide'.repeat(262_144) },
} satisfies Record<string, Body>;

export interface BackendOptions {
  readonly programs: Programs;
  readonly dir: string;
  readonly port: number;
  /** 127.0.0.1 when absent. */
  readonly addresses?: readonly string[];
  /** One process that can be killed, without a master that starts another. */
  readonly single?: true;
  /** A field of its responses. */
  readonly mark?: string;
  readonly core: number;
  readonly nginx: string;
}

export async function startBackend(options: BackendOptions): Promise<Program> {
  const { dir, port, addresses = ['127.0.0.1'] } = options;
  mkdirSync(join(dir, 'files'), { recursive: true });
  writeFileSync(join(dir, 'files', 'large'), bodies.large.content);
  writeFileSync(join(dir, 'files', 'mib'), bodies.mib.content);
  const file = join(dir, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off;
${options.single ? 'master_process off' : 'worker_processes 1'};
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'error.log')} error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${join(dir, 'body')};
  proxy_temp_path ${join(dir, 'proxy')};
  fastcgi_temp_path ${join(dir, 'fastcgi')};
  uwsgi_temp_path ${join(dir, 'uwsgi')};
  scgi_temp_path ${join(dir, 'scgi')};
  default_type application/json;
  sendfile on;
  tcp_nodelay on;
  open_file_cache max=10;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  server {
    ${addresses.map((address) => `listen ${address}:${port} backlog=4096;`).join(' ')}
    ${options.mark === undefined ? '' : `add_header ${options.mark} 1;`}
    root ${join(dir, 'files')};
    location = ${bodies.small.path} { return 200 '${small}'; }
    location = ${bodies.kib.path} { return 200 '${bodies.kib.content}'; }
    location = ${bodies.large.path} { }
    location = ${bodies.mib.path} { }
    location ~ ${bodies.small.path}$ { return 200 '${small}'; }
    location / { return 200 'ok'; }
  }
}
`,
  );
  const program = options.programs.start('backend', options.nginx, {
    args: ['-p', dir, '-c', file],
    core: options.core,
    logFile: join(dir, 'out.log'),
  });
  await untilReady(program, () => answers(`http://${addresses[0]}:${port}${bodies.small.path}`, bodies.small.content));
  return program;
}

/** Whether a GET is answered 200 with exactly this body. */
export async function answers(
  url: string,
  content: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(5000) });
    return (await response.text()) === content && response.status === 200;
  } catch {
    return false;
  }
}
