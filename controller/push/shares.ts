/**
 * Shares global limits out, without a store: every live data plane of the fleet, ready or not, has an equal part, and is told again when their
 * number changes. Sorted by node, so that all replicas that see the same fleet say the same.
 *
 * The parts sum to 1 as long as every data plane goes by the fleet as it is. Otherwise, by no more than this and no longer:
 *  - One joins: it counts from its hello and is told before its first delta, so before it serves. Those before are told in the same turn (at
 *    another replica: by the next peer report, at most 1 s). Should it serve sooner than one of them hears, that one is over by
 *    1/n − 1/(n+1) of the limit meanwhile.
 *  - One goes: the others are told when its stream has ended; one that did not drain first still counts for FLEET_EXPIRY_MS. Nobody is over.
 *  - One is cut off from all controllers and serves on: it keeps its part, on disk over a restart too, and after FLEET_EXPIRY_MS the
 *    others share the whole: together over by that one part, until it is back.
 *  - A controller starts: it sees few data planes at first. Each hello says what its sender goes by; for SETTLE_MS nobody gets a larger part than
 *    the smallest that was heard of.
 * Whoever joins begins with nothing spent: for each key, up to its part of one window or burst comes on top of what the others admitted before,
 * once. What the others have spent stays spent.
 *
 * Equal parts, without slack: where load is uneven over data planes (few clients with long connections, one zone busier) a key gets less than its
 * limit, down to 1/n for a client with one connection; never more. Parts by load would need every key's load at every data plane. Who needs the
 * exact limit whatever the spread uses `store: redis`.
 */
import type { Share } from '@tidegate/dataplane/snapshot/protocol';
import type { Clock } from '../clock.ts';
import type { Fleet } from './fleet.ts';
import type { Publisher } from './publish.ts';

/** From the start: a data plane that lost its controller is back within its back-off of 5 s and the 5 s of a connection attempt. */
export const SETTLE_MS = 10_000;
/** What only time changes (a data plane that is silent counts no more) is looked at this often. */
const CHECK_MS = 1_000;

export interface SharesOptions {
  readonly fleet: Fleet;
  readonly publisher: Publisher;
  readonly clock: Clock;
}

export class Shares {
  readonly #options: SharesOptions;
  readonly #settledAtMs: number;
  /** The most data planes that any hello since the start was told of. */
  #heardOf = 1;
  #cancel = () => {};

  constructor(options: SharesOptions) {
    const { fleet, clock } = options;
    this.#options = options;
    this.#settledAtMs = clock.now() + SETTLE_MS;
    fleet.onChange(() => this.#tell());
    this.#tick();
  }

  stop(): void {
    this.#cancel();
  }

  /** The part of each data plane, by node. */
  parts(): Map<string, Share> {
    const { fleet, publisher, clock } = this.#options;
    for (const { toldDataPlanes } of publisher.sessions()) this.#heardOf = Math.max(this.#heardOf, toldDataPlanes);
    const members = fleet.members();
    const dataPlanes = Math.max(members.length, clock.now() < this.#settledAtMs ? this.#heardOf : 1);
    return new Map(members.map(({ node }, place) => [node, { place, dataPlanes }]));
  }

  #tell(): void {
    const parts = this.parts();
    for (const session of this.#options.publisher.sessions()) {
      const part = parts.get(session.node);
      if (part !== undefined) session.tell(part);
    }
  }

  #tick(): void {
    this.#cancel = this.#options.clock.after(CHECK_MS, () => {
      this.#tell();
      this.#tick();
    });
  }
}
