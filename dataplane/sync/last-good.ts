/**
 * The last accepted snapshot on disk, for a start without a controller.
 *
 * One file, readable by its owner only, replaced as a whole (write, fsync, rename, fsync of the folder): a line of header, one
 * JSON line a resource, and a line with the SHA-256 of all before. Its modification time says when a controller last stood behind it.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import path from 'node:path';
import { DataplaneError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { hashBody } from '../snapshot/canonical.ts';
import type { ResourceBytes } from '../snapshot/decode.ts';
import { revisionOf } from '../snapshot/revision.ts';
import { SCHEMA_VERSION } from '../snapshot/schema-version.ts';
import type { HeldImage } from './held.ts';

const FORMAT = 'tidegate-last-good/1';
const FILE = 'last-good.snapshot';
/** Above this a file is not ours. Bytes. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024;

interface Header {
  readonly format: typeof FORMAT;
  readonly schemaVersion: number;
  readonly gateway: string;
  readonly revision: string;
  readonly savedAtMs: number;
}
interface Trailer {
  readonly sha256: string;
}
interface Line {
  readonly id: string;
  readonly hash: string;
  readonly body: string;
  /** True: not the form of the revision, but the one that still runs instead. */
  readonly fallback?: true;
}

export interface LoadedLastGood {
  readonly image: HeldImage;
  /** ms since the epoch when it was written. */
  readonly savedAtMs: number;
  /** ms since the epoch when a controller last stood behind it. */
  readonly confirmedAtMs: number;
}

export interface LastGoodOptions {
  readonly folder: string;
  readonly gateway: string;
  readonly log: Log;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Changes within this time are written once; more of them where writing takes long (see WRITING_SHARE). */
  readonly debounceMs: number;
}

/** At most this share of the time goes into writing while changes keep coming. */
const WRITING_SHARE = 0.05;
/** Resources written at once: what else is to be done comes in between. */
const CHUNK = 250;

export class LastGood {
  readonly #options: LastGoodOptions;
  #pending: (() => HeldImage) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #savedAtMs = 0;
  #failures = 0;
  #lastWriteMs = 0;

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  /** ms since the epoch of what lies on disk; 0 when nothing does. */
  get savedAtMs(): number {
    return this.#savedAtMs;
  }

  /** Writes that failed since the start. */
  get failures(): number {
    return this.#failures;
  }

  get file(): string {
    return path.join(this.#options.folder, FILE);
  }

  /** Null when there is none, or none that can be used; the log then says why. */
  async load(): Promise<LoadedLastGood | null> {
    try {
      const { size, mtimeMs } = await stat(this.file);
      if (size > MAX_FILE_BYTES) throw corrupt(`it has ${size} bytes`);
      const { image, savedAtMs } = parse(await readFile(this.file), this.#options.gateway);
      this.#savedAtMs = savedAtMs;
      return { image, savedAtMs, confirmedAtMs: Math.max(mtimeMs, savedAtMs) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      this.#options.log.error({ file: this.file, error: messageOf(error) }, 'the last good snapshot is not used');
      return null;
    }
  }

  /** Writes soon what `image` gives then. Never throws: a disk that is full does not stop the gateway. */
  schedule(image: () => HeldImage): void {
    this.#pending = image;
    const waitMs = Math.max(this.#options.debounceMs, this.#lastWriteMs / WRITING_SHARE);
    this.#timer ??= setTimeout(() => void this.flush(), waitMs).unref();
  }

  /** Writes now what is due. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#writing !== null) await this.#writing;
    const pending = this.#pending;
    if (pending === null) return;
    this.#pending = null;
    this.#writing = this.#write(pending()).finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  /** Notes that a controller stands behind what lies on disk. */
  async confirm(): Promise<void> {
    if (this.#savedAtMs === 0) return;
    const seconds = this.#options.now() / 1000;
    await utimes(this.file, seconds, seconds).catch(() => {});
  }

  async #write(image: HeldImage): Promise<void> {
    const temporary = `${this.file}.${process.pid}`;
    const startedAt = performance.now();
    try {
      const savedAtMs = this.#options.now();
      await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
      const file = await open(temporary, 'w', 0o600);
      try {
        for (const chunk of serialise(image, this.#options.gateway, savedAtMs)) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.file);
      await syncFolder(this.#options.folder);
      this.#savedAtMs = savedAtMs;
    } catch (error) {
      this.#failures++;
      const failure = new DataplaneError('DP_LAST_GOOD', `${this.file} can't be written`, {
        cause: error,
        retryable: true,
      });
      this.#options.log.warn({ code: failure.code, error: messageOf(failure) }, 'the last good snapshot was not kept');
      await unlink(temporary).catch(() => {});
    }
    this.#lastWriteMs = performance.now() - startedAt;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function* serialise(image: HeldImage, gateway: string, savedAtMs: number): Generator<string> {
  const hash = createHash('sha256');
  const hashed = (text: string): string => {
    hash.update(text);
    return text;
  };
  const head: Header = {
    format: FORMAT,
    schemaVersion: SCHEMA_VERSION,
    gateway,
    revision: image.revision,
    savedAtMs,
  };
  yield hashed(`${JSON.stringify(head)}\n`);
  for (const [resources, fallback] of [
    [image.resources, false],
    [image.fallback, true],
  ] as const) {
    for (let i = 0; i < resources.length; i += CHUNK) {
      yield hashed(
        resources
          .slice(i, i + CHUNK)
          .map((resource) => lineOf(resource, fallback))
          .join(''),
      );
    }
  }
  yield `${JSON.stringify({ sha256: hash.digest('hex') } satisfies Trailer)}\n`;
}

function lineOf({ id, hash, body }: ResourceBytes, fallback: boolean): string {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  return `${JSON.stringify({ id, hash, body: text, ...(fallback ? { fallback } : {}) } satisfies Line)}\n`;
}

/** Throws what is wrong with it. */
function parse(bytes: Buffer, gateway: string): { image: HeldImage; savedAtMs: number } {
  const lines = bytes.toString('utf8').split('\n');
  const head = jsonOf(lines[0]);
  if (!isHeader(head)) throw corrupt('its header is not one of this version');
  const sum = jsonOf(lines.at(-2));
  const end = bytes.lastIndexOf('\n', bytes.length - 2) + 1;
  if (!isTrailer(sum) || lines.at(-1) !== '') throw corrupt('it is cut');
  if (createHash('sha256').update(bytes.subarray(0, end)).digest('hex') !== sum.sha256) {
    throw corrupt('its checksum does not match');
  }
  if (head.schemaVersion !== SCHEMA_VERSION) {
    throw corrupt(`it has schema version ${head.schemaVersion}, not ${SCHEMA_VERSION}`);
  }
  if (head.gateway !== gateway) throw corrupt(`it belongs to gateway ${head.gateway}`);
  const resources: ResourceBytes[] = [];
  const fallback: ResourceBytes[] = [];
  for (const text of lines.slice(1, -2)) {
    const stored = jsonOf(text);
    if (!isLine(stored)) throw corrupt('a line of it is not a resource');
    const { id, hash, body, fallback: old } = stored;
    const resource = { id, hash, body: Buffer.from(body, 'utf8') };
    if (hashBody(resource.body) !== hash) throw corrupt(`${id} does not match its hash`);
    (old === true ? fallback : resources).push(resource);
  }
  if (revisionOf(resources.map(({ id, hash }) => [id, hash])) !== head.revision) {
    throw corrupt('its resources do not make up its revision');
  }
  return { image: { revision: head.revision, resources, fallback }, savedAtMs: head.savedAtMs };
}

// By hand: loading zod for these three takes 5 MB of the supervisor. What the bodies hold is for the workers to check.
function isHeader(value: unknown): value is Header {
  const { format, schemaVersion, gateway, revision, savedAtMs } = fieldsOf(value);
  return (
    format === FORMAT &&
    Number.isSafeInteger(schemaVersion) &&
    typeof gateway === 'string' &&
    typeof revision === 'string' &&
    revision !== '' &&
    Number.isFinite(savedAtMs) &&
    hasOnly(value, 5)
  );
}

function isTrailer(value: unknown): value is Trailer {
  return typeof fieldsOf(value).sha256 === 'string' && hasOnly(value, 1);
}

function isLine(value: unknown): value is Line {
  const { id, hash, body, fallback } = fieldsOf(value);
  return (
    typeof id === 'string' &&
    typeof hash === 'string' &&
    typeof body === 'string' &&
    (fallback === undefined ? hasOnly(value, 3) : fallback === true && hasOnly(value, 4))
  );
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function hasOnly(value: unknown, fields: number): boolean {
  return Object.keys(fieldsOf(value)).length === fields;
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

function corrupt(why: string): DataplaneError {
  return new DataplaneError('DP_LAST_GOOD', `the file can't be used: ${why}`, { retryable: false });
}
