/** What is done to one backend (or all), how it ends, and how much of it a client may notice with the policy. */
import { FLAP_MS, type Mode } from './backend-terms.ts';
import type { Judged } from './figures.ts';
import type { Backend } from './fleet.ts';

export interface Fault {
  readonly name: string;
  readonly about: string;
  /** All backends at once instead of one. */
  readonly everywhere?: true;
  inject(backend: Backend): Promise<void>;
  heal(backend: Backend): Promise<void>;
  /** Share of the requests with the policy that may fail, from the start of the fault until it is overcome. */
  readonly failsAtMost: number;
  /** Why that is more than 0. */
  readonly why?: string;
  /** What the policy has to do about the endpoint; see Judged. `ejection` when absent. */
  readonly judgedBy?: Judged['judgedBy'];
}

function behaving(name: string, mode: Mode, about: string, more: Partial<Fault> = {}): Fault {
  return {
    ...{ name, about, failsAtMost: 0 },
    inject: (backend) => backend.enter(mode),
    heal: (backend) => backend.enter('well'),
    ...more,
  };
}

export const faults: readonly Fault[] = [
  {
    name: 'killed',
    about: 'SIGKILL; started again later',
    failsAtMost: 0,
    inject: (backend) => backend.kill(),
    heal: (backend) => backend.start(),
  },
  {
    name: 'paused',
    about: 'SIGSTOP; connections stay, nothing answers',
    failsAtMost: 0,
    inject: async (backend) => backend.pause(),
    heal: async (backend) => backend.resume(),
  },
  behaving('reset', 'reset', 'RST after half of the body', {
    failsAtMost: 0.05,
    why: 'half of the answer has reached the client: it can not be repeated, only stopped',
  }),
  behaving('slowed', 'slow', '20 times slower', { judgedBy: 'share' }),
  behaving('garbage', 'garbage', 'answers with bytes that are no HTTP'),
  behaving('silent', 'silent', 'accepts, reads, never answers'),
  behaving('flapping', 'flap', `gone and back every ${FLAP_MS} ms, its connections reset`),
  {
    name: 'backlog',
    about: 'listens and never accepts; its backlog is full',
    failsAtMost: 0,
    inject: (backend) => backend.fillBacklog(),
    heal: (backend) => backend.emptyBacklog(),
  },
  behaving('closing', 'closing', 'closes a reused connection when a request comes', {
    // Every server does so now and then: it is no reason to leave it.
    judgedBy: 'failures',
  }),
  behaving('storm', 'storm', '503 to everything but health checks'),
  behaving('storm-all', 'storm', 'all of them: 503 to everything but health checks', {
    everywhere: true,
    failsAtMost: 1,
    why: 'there is no other endpoint: what counts is that no repeats pile up',
  }),
];
