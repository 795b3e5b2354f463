/** Unary calls and such that stream their answer. */
import { Client, credentials } from '@grpc/grpc-js';
import { BIG, MESSAGES, same } from '../backend.ts';
import type { Group } from '../load.ts';

export function grpc(h2cPort: number): Group {
  const client = new Client(`127.0.0.1:${h2cPort}`, credentials.createInsecure(), { 'grpc.enable_retries': 0 });
  const deadline = () => ({ deadline: Date.now() + 20_000 });
  const unary = (): Promise<void> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest('/test.v1.Echo/Unary', same, same, BIG.subarray(0, 500), deadline(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  const streamed = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = client.makeServerStreamRequest('/test.v1.Echo/Server', same, same, Buffer.from('x'), deadline());
      let got = 0;
      call.on('data', () => got++);
      call.on('error', reject);
      call.on('end', () => (got === MESSAGES ? resolve() : reject(new Error(`${got} messages`))));
    });
  return {
    kinds: [
      { name: 'gRPC unary', loops: 8, once: unary },
      { name: 'gRPC streamed', loops: 2, once: streamed },
    ],
    close: () => client.close(),
  };
}
