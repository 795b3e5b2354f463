/** llhttp, Node's parser, in the strict form in which Node runs it: the WebAssembly build that undici ships. */
import { createRequire } from 'node:module';
import { emptyReading, type Message, type Read, type Reading } from './reading.ts';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  malloc(size: number): number;
  free(at: number): void;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_finish(parser: number): number;
  llhttp_resume_after_upgrade(parser: number): void;
  llhttp_get_error_pos(parser: number): number;
  llhttp_errno_name(code: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_should_keep_alive(parser: number): number;
}

/** Not among the types of Node. */
declare const WebAssembly: {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

const REQUEST = 1;
const RESPONSE = 2;
const PAUSED_UPGRADE = 22;
/** From `on_headers_complete`: no body follows. */
const SKIP_BODY = 1;

/** The one parse under way. */
let current: Parse | null = null;

const step =
  (run: (parse: Parse, at: number, length: number) => number) =>
  (_parser: number, at: number, length: number): number =>
    run(current as Parse, at, length);

const binary = createRequire(import.meta.url)('undici/lib/llhttp/llhttp-wasm.js') as Buffer<ArrayBuffer>;
const llhttp = new WebAssembly.Instance(new WebAssembly.Module(binary), {
  env: {
    wasm_on_message_begin: step((parse) => parse.begin()),
    wasm_on_url: step((parse, at, length) => parse.url(textAt(at, length))),
    wasm_on_status: step(() => 0),
    wasm_on_header_field: step((parse, at, length) => parse.name(textAt(at, length))),
    wasm_on_header_value: step((parse, at, length) => parse.value(textAt(at, length))),
    wasm_on_headers_complete: step((parse, status) => parse.headersComplete(status)),
    wasm_on_body: step((parse, at, length) => parse.body(textAt(at, length))),
    wasm_on_message_complete: step((parse) => parse.complete()),
  },
}).exports as unknown as Exports;
llhttp._initialize();
let held = llhttp.malloc(65_536);
let heldBytes = 65_536;

function textAt(at: number, length: number): string {
  return Buffer.from(llhttp.memory.buffer, at, length).toString('latin1');
}

function wordAt(at: number): string {
  const bytes = Buffer.from(llhttp.memory.buffer, at);
  return bytes.toString('latin1', 0, bytes.indexOf(0));
}

class Parse {
  readonly reading: Reading = emptyReading();
  private readonly parser: number;
  private readonly isResponse: boolean;
  private readonly toHead: readonly boolean[];
  private target = '';
  private fields: string[] = [];
  private inValue = false;
  private message: Message | null = null;

  /** `toHead`: for each response whether it answers a HEAD. */
  constructor(parser: number, isResponse: boolean, toHead: readonly boolean[]) {
    this.parser = parser;
    this.isResponse = isResponse;
    this.toHead = toHead;
  }

  begin(): number {
    this.target = '';
    this.fields = [];
    this.inValue = false;
    this.message = null;
    return 0;
  }

  url(text: string): number {
    this.target += text;
    return 0;
  }

  name(text: string): number {
    if (this.inValue || this.fields.length === 0) this.fields.push('', '');
    this.inValue = false;
    this.fields[this.fields.length - 2] += text.toLowerCase();
    return 0;
  }

  value(text: string): number {
    this.inValue = true;
    this.fields[this.fields.length - 1] += text;
    return 0;
  }

  headersComplete(status: number): number {
    this.message = {
      method: this.isResponse ? '' : wordAt(llhttp.llhttp_method_name(llhttp.llhttp_get_method(this.parser))),
      target: this.target,
      status: this.isResponse ? status : 0,
      minor: llhttp.llhttp_get_http_minor(this.parser),
      fields: trimmed(this.fields),
      body: '',
      trailers: [],
      complete: false,
    };
    const { messages } = this.reading;
    const toHead = this.toHead[messages.filter((message) => message.status >= 200).length] === true;
    messages.push(this.message);
    this.fields = [];
    this.inValue = false;
    return this.isResponse && toHead ? SKIP_BODY : 0;
  }

  body(text: string): number {
    (this.message as Message).body += text;
    return 0;
  }

  complete(): number {
    const message = this.message as Message;
    message.trailers = trimmed(this.fields);
    message.complete = true;
    // An interim response says nothing of the connection.
    if (message.status >= 100 && message.status < 200) return 0;
    if (llhttp.llhttp_should_keep_alive(this.parser) === 0) this.reading.closed = true;
    return 0;
  }
}

/** llhttp leaves the white space behind a value to its user. */
function trimmed(fields: readonly string[]): string[] {
  return fields.map((text, i) => (i % 2 === 0 ? text : text.replace(/[ \t]+$/, '')));
}

function read(pieces: readonly Buffer[], type: number, toHead: readonly boolean[], ended: boolean): Reading {
  const parser = llhttp.llhttp_alloc(type);
  const parse = new Parse(parser, type === RESPONSE, toHead);
  const { reading } = parse;
  current = parse;
  try {
    for (const piece of pieces) {
      if (piece.length > heldBytes) {
        llhttp.free(held);
        heldBytes = piece.length;
        held = llhttp.malloc(heldBytes);
      }
      new Uint8Array(llhttp.memory.buffer, held, piece.length).set(piece);
      let from = held;
      const end = held + piece.length;
      let code = llhttp.llhttp_execute(parser, from, end - from);
      // Nobody takes the upgrade: HTTP goes on.
      while (code === PAUSED_UPGRADE) {
        llhttp.llhttp_resume_after_upgrade(parser);
        from = llhttp.llhttp_get_error_pos(parser);
        code = llhttp.llhttp_execute(parser, from, end - from);
      }
      if (code === 0) continue;
      if (!reading.closed) reading.refused = wordAt(llhttp.llhttp_errno_name(code));
      return reading;
    }
    if (ended && !reading.closed && llhttp.llhttp_finish(parser) === 0) {
      const last = reading.messages.at(-1);
      if (last !== undefined) last.complete = true;
    }
    return reading;
  } finally {
    llhttp.llhttp_free(parser);
    current = null;
  }
}

export const readRequests: Read = (pieces) => read(pieces, REQUEST, [], false);

/** `toHead`: for each response whether it answers a HEAD; the input is followed by the end of the connection. */
export function readResponses(pieces: readonly Buffer[], toHead: readonly boolean[] = []): Reading {
  return read(pieces, RESPONSE, toHead, true);
}
