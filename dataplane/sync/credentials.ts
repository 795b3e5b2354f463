/** Channel credentials from certificate files, read anew for each stream so that a renewed certificate is used. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type ChannelCredentials, credentials as grpcCredentials } from '@grpc/grpc-js';
import { DataplaneError } from '../errors.ts';

/** Null: without TLS. Which addresses may be spoken to so is checked where the configuration is read. */
export type Credentials = {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Empty: the name in the address. */
  readonly serverName: string;
} | null;

export interface ReadCredentials {
  readonly channel: ChannelCredentials;
  /** Changes when a file does. */
  readonly version: string;
}

export async function readCredentials(files: Credentials, controller: string): Promise<ReadCredentials> {
  if (files === null || controller.startsWith('unix:')) {
    return { channel: grpcCredentials.createInsecure(), version: '' };
  }
  try {
    const [cert, key, ca] = await Promise.all([readFile(files.cert), readFile(files.key), readFile(files.ca)]);
    const hash = createHash('sha256');
    for (const part of [cert, key, ca]) hash.update(createHash('sha256').update(part).digest());
    return { channel: grpcCredentials.createSsl(ca, key, cert), version: hash.digest('hex') };
  } catch (error) {
    throw new DataplaneError('DP_TLS_FILES', 'certificate, key or CA can not be used', {
      cause: error,
      retryable: true,
    });
  }
}
