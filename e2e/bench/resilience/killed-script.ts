/** Lua for `wrk -s`: the same GET at a bounded rate, which counts answers by status and notes when the last one failed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KilledReport {
  /** Answers that were not 200, by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Answers with the mark. */
  readonly marked: number;
  /** When an answer last failed, ms since the epoch; 0: none did. */
  readonly lastFailureMs: number;
}

const LINE = 'killed-endpoint:';

/** Each connection waits `delayMs` before each request; 0: it does not. */
export function writeKilledScript(dir: string, name: string, mark: string, delayMs: number): string {
  const file = join(dir, `${name}.lua`);
  // wrk keeps the globals of a thread apart; done() runs outside of it
  writeFileSync(
    file,
    `local ffi = require("ffi")
ffi.cdef[[
typedef struct { long tv_sec; long tv_usec; } timeval_t;
int gettimeofday(timeval_t *now, void *zone);
]]
local now = ffi.new("timeval_t")
marked = 0
last = 0
statuses = ""
local counts = {}
${delayMs > 0 ? `function delay() return ${delayMs} end` : ''}
function response(status, headers)
  if headers["${mark}"] then marked = marked + 1 end
  if status == 200 then return end
  ffi.C.gettimeofday(now, nil)
  last = tonumber(now.tv_sec) * 1000 + math.floor(tonumber(now.tv_usec) / 1000)
  counts[status] = (counts[status] or 0) + 1
  local all = {}
  for key, count in pairs(counts) do all[#all + 1] = string.format('"%d":%d', key, count) end
  statuses = table.concat(all, ",")
end
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function done()
  local thread = threads[1]
  print(string.format('${LINE} {"statuses":{%s},"marked":%d,"lastFailureMs":%.0f}',
    thread:get("statuses"), thread:get("marked"), thread:get("last")))
end
`,
  );
  return file;
}

/** From what wrk printed; throws where the line is missing. */
export function parseKilledReport(text: string): KilledReport {
  const line = text.split('\n').find((one) => one.startsWith(LINE));
  if (line === undefined) throw new Error(`the script printed nothing:\n${text}`);
  return JSON.parse(line.slice(LINE.length));
}
