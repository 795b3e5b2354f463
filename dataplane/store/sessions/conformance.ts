/** What every session store does. Time is real, as Redis has its own; nothing depends on how long something takes. */
import { expect, test } from 'vitest';
import type { SessionStore } from './session-store.ts';

/** `make` gives a store and a second one that shares its sessions, as another worker has it. */
export function sessionStoreTests(make: () => Promise<readonly [SessionStore, SessionStore]>): void {
  const id = () => crypto.randomUUID();
  const over = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  test('what is set is there, also for others, and replaced, and deleted', async () => {
    const [one, two] = await make();
    const name = id();
    expect(await one.get(name)).toBeNull();
    await one.set(name, 'é "1"\n', 60_000);
    expect(await two.get(name)).toBe('é "1"\n');
    await two.set(name, '', 60_000);
    expect(await one.get(name)).toBe('');
    await one.delete(name);
    await one.delete(name);
    expect(await two.get(name)).toBeNull();
  });

  test('a session ends when its time is over, and set again it lives on', async () => {
    const [one] = await make();
    const [short, renewed] = [id(), id()];
    await Promise.all([one.set(short, 'a', 30), one.set(renewed, 'b', 30)]);
    await one.set(renewed, 'c', 60_000);
    await over(60);
    expect([await one.get(short), await one.get(renewed)]).toEqual([null, 'c']);
  });

  test('one of many who claim gets it, until its time is over; it is no session', async () => {
    const [one, two] = await make();
    const name = id();
    const claims = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? one : two).claim(name, 60_000)));
    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(await one.get(name)).toBeNull();
    const short = id();
    expect(await one.claim(short, 30)).toBe(true);
    await over(60);
    expect(await two.claim(short, 60_000)).toBe(true);
  });

  test('a long value and many at once', async () => {
    const [one, two] = await make();
    const long = 'x'.repeat(20_000);
    const ids = Array.from({ length: 50 }, id);
    await Promise.all(ids.map((name) => one.set(name, name + long, 60_000)));
    expect(await Promise.all(ids.map((name) => two.get(name)))).toEqual(ids.map((name) => name + long));
  });
}
