import { createHash } from 'node:crypto';

/** A Lua script, which Redis runs as a whole: nothing else happens between its commands. Sent by its hash once Redis has it. */
export interface Script {
  readonly lua: string;
  /** Hex, as EVALSHA wants it. */
  readonly sha1: string;
}

export function script(lua: string): Script {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') };
}
