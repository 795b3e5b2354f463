/** A connection that opens. */
import { connect } from 'node:net';
import { codeOf, type Probe, type ProbeOutcome, type ProbeTarget, SUCCESS } from './probe.ts';

export function openTcpProbe({ address, port }: ProbeTarget): Probe {
  return {
    run: (signal) =>
      new Promise<ProbeOutcome>((resolve) => {
        const socket = connect({ host: address, port });
        const abort = (): void => end({ result: 'timeout', detail: 'aborted' });
        const end = (outcome: ProbeOutcome): void => {
          signal.removeEventListener('abort', abort);
          socket.destroy();
          resolve(outcome);
        };
        socket.on('connect', () => end(SUCCESS));
        socket.on('error', (error) => end({ result: 'connect', detail: codeOf(error) }));
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
      }),
    close: () => {},
  };
}
