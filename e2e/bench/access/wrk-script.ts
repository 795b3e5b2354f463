/** Lua for `wrk -s`: the same GET with a header that changes from request to request. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Varying {
  readonly path: string;
  /** Of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The header that changes, and what stands before its value. */
  readonly name: string;
  readonly prefix: string;
  readonly values: readonly string[];
  /** Each value is sent once, then the load ends; else they go round. */
  readonly once?: boolean;
  /** ms that each connection waits before a request: connections by this is the rate. */
  readonly delayMs?: number;
}

/** Writes the script and its values into `dir`; returns its path. All requests are made before the load begins. */
export function writeWrkScript(dir: string, name: string, varying: Varying): string {
  const values = join(dir, `${name}.txt`);
  writeFileSync(values, `${varying.values.join('\n')}\n`);
  const fixed = Object.entries(varying.headers).map(([header, value]) => `[${quoted(header)}] = ${quoted(value)}, `);
  const script = `local requests, at = {}, 0

function init()
  for value in io.lines(${quoted(values)}) do
    local headers = { ${fixed.join('')}[${quoted(varying.name)}] = ${quoted(varying.prefix)} .. value }
    requests[#requests + 1] = wrk.format("GET", ${quoted(varying.path)}, headers)
  end
end

function request()
  ${varying.once === true ? 'if at == #requests then wrk.thread:stop() else at = at + 1 end' : 'at = at % #requests + 1'}
  return requests[at]
end
${varying.delayMs === undefined ? '' : `\nfunction delay()\n  return ${varying.delayMs}\nend\n`}`;
  const file = join(dir, `${name}.lua`);
  writeFileSync(file, script);
  return file;
}

/** JSON's escapes of what stands here (quotes, backslashes) are Lua's too. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
