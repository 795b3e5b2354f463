/** What a test gets of a real server it needs. */
export interface Component {
  readonly name: 'Redis' | 'MariaDB' | 'identity provider';
  /** With the password in it, where there is one. */
  readonly url: string;
  /** given: somebody else's, by URL; container: testcontainers; process: a program of this machine. */
  readonly origin: 'given' | 'container' | 'process';
  /** Ends what was started here, and deletes its data; a given one stays. May be called again. */
  stop(): Promise<void>;
}

/** A program of this machine, which a test may harm. Its address stays the same over `restart`. */
export interface ProcessComponent extends Component {
  readonly origin: 'process';
  readonly port: number;
  /** SIGSTOP: connections stay, are even accepted, and nothing answers. Returns when every thread has stopped. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
  /** SIGKILL: connections break, new ones are refused. Returns when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, as an operator would; returns when it is gone. Data that the program keeps on disk stays, unlike with `stop`. */
  shutDown(): Promise<void>;
  /** Starts it again, after `shutDown` or `kill`, or ends it first; returns when it answers. */
  restart(): Promise<void>;
}

/** No way led to the server; the message says what to do. */
export class ComponentMissing extends Error {
  override readonly name = 'ComponentMissing';
}
