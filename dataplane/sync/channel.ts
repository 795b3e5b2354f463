/** Waits for a gRPC channel, and gives up at its first failure: the caller has other addresses to try. */
import { connectivityState } from '@grpc/grpc-js';
import { DataplaneError } from '../errors.ts';
import type { SnapshotsClient } from '../snapshot/protocol.ts';

export function connectChannel(client: SnapshotsClient, timeoutMs: number): Promise<void> {
  const channel = client.getChannel();
  const deadline = Date.now() + timeoutMs;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      reject(new DataplaneError('DP_CONTROLLER_UNREACHABLE', why, { retryable: true }));
    };
    const check = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) resolve();
      else if (state === connectivityState.TRANSIENT_FAILURE) fail(`${channel.getTarget()} does not answer`);
      else if (state === connectivityState.SHUTDOWN) fail('the channel was closed');
      else {
        channel.watchConnectivityState(state, deadline, (error) => {
          if (error) fail(`${channel.getTarget()} did not answer within ${timeoutMs} ms`);
          else check();
        });
      }
    };
    check();
  });
}
