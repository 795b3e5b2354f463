/** What a running stage can't do at the moment, on its way to the controller: of the whole program, over real gRPC. */
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { matchFixture, policyFixture, respondFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { PolicyResource } from '../snapshot/resources.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { TestSnapshot } from '../sync/test-controller.ts';
import { get, Scene } from '../test-scene.ts';

/** On a busy machine two threads, a token library and a fetch that is tried again take their time. */
const PATIENCE_MS = 30_000;

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEYS = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one' }] });

/** Tokens of an issuer whose keys are at that URL. */
function tokens(url: string): PolicyResource {
  const method = {
    kind: 'jwt',
    name: 'token',
    from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
    keys: { source: 'url', url, maxAgeMs: 600_000, staleMs: 0, cooldownMs: 0, timeoutMs: 2_000 },
    algorithms: ['ES256'],
    clockSkewMs: 0,
    keepCredential: false,
  };
  const more = { anyOf: [['token']], optional: false, consumerHeader: 'x-consumer', groupsHeader: '' };
  return policyFixture(
    'shop/staff',
    authenticationSection.parse({ section: 'authentication', methods: [method], ...more }),
  );
}

function snapshotOf(policy: PolicyResource): TestSnapshot {
  return new TestSnapshot([
    policy,
    ruleFixture('shop/closed/r', { matches: [matchFixture('/closed')], policies: [policy.id] }),
    ruleFixture('shop/open/r', { matches: [matchFixture('/open')], action: respondFixture('open') }),
  ]);
}

test(
  'an identity provider that does not answer is named in the verdict; its recovery takes the name away',
  async () => {
    let status = 500;
    const provider = await scene.backend((_request, response) => response.writeHead(status).end(KEYS));
    const policy = tokens(`http://${provider}/jwks.json?secret=x`);
    const snapshot = snapshotOf(policy);
    const controller = await scene.controller();
    const dataplane = scene.dataplane(controller.address);
    const stream = await controller.streams.next();
    stream.send(snapshot.full());
    const troubled = await stream.verdicts.next(({ rejected }) => rejected.length > 0, PATIENCE_MS);
    const message = expect.stringContaining(
      `JWKS http://${provider}/jwks.json can not be fetched: the server answers 500`,
    );
    expect(troubled).toEqual({
      revision: snapshot.revision,
      accepted: true,
      // Two workers say it, the verdict once.
      rejected: [{ id: policy.id, hash: snapshot.resources.get(policy.id)?.hash, message }],
      message: '',
    });
    const { http: port } = await dataplane.ready();
    expect((await get(port, '/open')).status).toBe(200);
    expect((await get(port, '/closed')).status).toBe(401);

    status = 200;
    const recovered = await stream.verdicts.next(({ rejected }) => rejected.length === 0, PATIENCE_MS);
    expect(recovered).toEqual({ revision: snapshot.revision, accepted: true, rejected: [], message: '' });
    // The log comes by another way than the verdict.
    await dataplane.lines.next(({ msg }) => msg === 'all works again', PATIENCE_MS);
    const said = dataplane.lines.all.filter(({ event }) => event === 'troubles');
    expect([said[0]?.msg, said.at(-1)?.msg]).toEqual(['something is in trouble', 'all works again']);
  },
  2 * PATIENCE_MS,
);

test(
  'a controller that connects later is told at once',
  async () => {
    const provider = await scene.backend((_request, response) => response.writeHead(503).end());
    const policy = tokens(`http://${provider}/`);
    const folder = scene.folder();
    const first = await scene.controller(folder);
    const dataplane = scene.dataplane(first.address);
    const stream = await first.streams.next();
    stream.send(snapshotOf(policy).full());
    await stream.verdicts.next(({ rejected }) => rejected.length > 0, PATIENCE_MS);
    first.stop();
    await dataplane.event('disconnected');
    const second = await scene.controller(folder);
    const later = await second.streams.next(undefined, PATIENCE_MS);
    expect((await later.verdicts.next(undefined, PATIENCE_MS)).rejected).toMatchObject([{ id: policy.id }]);
  },
  2 * PATIENCE_MS,
);
