import { expect, test } from 'vitest';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture } from '../snapshot/fixtures.ts';
import { ObservedBackends } from './observed-backends.ts';

const ID = 'backend/shop/api';

test('where one observer sets the endpoints while it is told, the others end with the newest, not with what was before', () => {
  const observed = new ObservedBackends(() => {});
  const seen: string[][] = [];
  let resolved = ['10.0.0.1:80'];
  observed.add({
    backend: (id, { endpoints }) => {
      const wanted = endpointsFixture('x', ...resolved).endpoints;
      if (JSON.stringify(endpoints) !== JSON.stringify(wanted)) observed.setEndpoints(id, wanted);
    },
    gone: () => {},
    close: () => {},
  });
  observed.add({
    backend: (_id, { endpoints }) => seen.push(endpoints.map(({ address }) => address)),
    gone: () => {},
    close: () => {},
  });
  const take = (...addresses: string[]): void =>
    observed.take({
      revision: '',
      upsert: [encodeResource(backendFixture('shop/api')), encodeResource(endpointsFixture('shop/api', ...addresses))],
      removed: [],
    });
  take('name.example:80');
  expect(seen.at(-1)).toEqual(['10.0.0.1']);
  resolved = ['10.0.0.1:80', '10.0.0.2:80'];
  take('name.example:80', '10.0.0.2:80');
  expect(seen.at(-1)).toEqual(['10.0.0.1', '10.0.0.2']);
  expect(observed.get(ID)?.sent.map(({ address }) => address)).toEqual(['name.example', '10.0.0.2']);
});

test('what the workers have refused is not observed: the version before goes on', () => {
  const observed = new ObservedBackends(() => {});
  const sent = (algorithm: 'roundRobin' | 'random') =>
    encodeResource(backendFixture('shop/api', { balancing: { algorithm } }));
  const list = encodeResource(endpointsFixture('shop/api', '10.0.0.1:80'));
  observed.take({ revision: '', upsert: [sent('roundRobin'), list], removed: [] });
  const { id, hash } = sent('random');
  observed.take({ revision: '', upsert: [sent('random')], removed: [] }, [{ id, hash, message: 'no' }]);
  expect(observed.get(ID)?.resource.balancing.algorithm).toBe('roundRobin');
  observed.take({ revision: '', upsert: [sent('random')], removed: [] }, [{ id, hash: 'of another', message: 'no' }]);
  expect(observed.get(ID)?.resource.balancing.algorithm).toBe('random');
});
