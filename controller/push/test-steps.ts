/** Compiled steps for tests, as a compiler would make them. */
import { encodeResource } from '@tidegate/dataplane/snapshot/decode';
import { respondFixture, ruleFixture } from '@tidegate/dataplane/snapshot/fixtures';
import { RevisionSum } from '@tidegate/dataplane/snapshot/revision';
import type { CompiledResource } from '../compile/result.ts';
import type { Step } from './history.ts';

/** A rule whose content is `body`. */
export function compiledRule(name: string, body: string): CompiledResource {
  const resource = ruleFixture(`shop/${name}/main`, { action: respondFixture(body) });
  return { resource, ...encodeResource(resource) };
}

/** Follows a set of rules and tells each change as a step: `{ a: 'one', b: null }` sets rule a and removes rule b. */
export class TestCompiler {
  readonly #sum = RevisionSum.empty();
  readonly #held = new Map<string, CompiledResource>();

  step(changes: Readonly<Record<string, string | null>>): Step {
    const upsert: CompiledResource[] = [];
    const removed: string[] = [];
    for (const [name, body] of Object.entries(changes)) {
      const id = `rule/shop/${name}/main`;
      const before = this.#held.get(id);
      if (before !== undefined) this.#sum.remove(id, before.hash);
      if (body === null) {
        this.#held.delete(id);
        removed.push(id);
      } else {
        const compiled = compiledRule(name, body);
        this.#held.set(id, compiled);
        this.#sum.add(id, compiled.hash);
        upsert.push(compiled);
      }
    }
    return { revision: this.#sum.value(), upsert, removed };
  }

  /** What is there now, id to hash. */
  held(): Map<string, string> {
    return new Map([...this.#held].map(([id, { hash }]) => [id, hash]));
  }
}
