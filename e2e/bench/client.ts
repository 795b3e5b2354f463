/** How a peer is asked: what a scenario changes that does not speak plain HTTP/1.1. */
import { type LoadOptions, type LoadResult, load } from './measure.ts';
import { answers } from './peers/backend.ts';

export interface Client {
  readonly scheme: 'http' | 'https';
  /** Whether the peer answers as it should; false while it does not listen yet. */
  answers(url: string, content: string, headers?: Readonly<Record<string, string>>): Promise<boolean>;
  /** One run of load. */
  load(options: LoadOptions): Promise<LoadResult>;
}

/** HTTP/1.1 by `wrk`. */
export const http1: Client = { scheme: 'http', answers, load };
