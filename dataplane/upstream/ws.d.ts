/** What tests use of `ws`. Its own types would change those of libraries that name it and live without. */
declare module 'ws' {
  import type { EventEmitter } from 'node:events';
  import type { IncomingMessage } from 'node:http';
  import type { Duplex } from 'node:stream';

  export class WebSocket extends EventEmitter {
    static readonly OPEN: number;
    readonly readyState: number;
    readonly bufferedAmount: number;
    constructor(url: string, protocols?: string[] | object, options?: { perMessageDeflate?: boolean });
    send(data: Uint8Array | string, options?: { binary?: boolean }): void;
    close(code?: number, reason?: string): void;
    terminate(): void;
    pause(): void;
    resume(): void;
  }

  export class WebSocketServer extends EventEmitter {
    readonly clients: Set<WebSocket>;
    readonly options: { handleProtocols?: (offered: Set<string>) => string | false };
    constructor(options: { noServer?: true; port?: number; perMessageDeflate?: boolean; maxPayload?: number });
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (one: WebSocket) => void): void;
  }
}
