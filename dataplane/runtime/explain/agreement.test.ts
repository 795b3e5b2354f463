/** What is explained is what the request then gets. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { MemoryDownstream, memoryExchange } from '../../pipeline/memory-downstream.ts';
import { credentialsResource } from '../../snapshot/credentials.ts';
import { encodeResource } from '../../snapshot/decode.ts';
import { backendFixture, endpointsFixture, matchFixture, policyFixture, ruleFixture } from '../../snapshot/fixtures.ts';
import type { Action, PolicyResource, Resource } from '../../snapshot/resources.ts';
import { authenticationSection } from '../../snapshot/sections/authentication.ts';
import { authorizationSection } from '../../snapshot/sections/authorization.ts';
import { corsSection } from '../../snapshot/sections/cors.ts';
import { loadStages } from '../../stages/registry.ts';
import { Gateway } from '../gateway.fixture.ts';

const keys = ['one', 'two'].map((key) => ({
  hash: createHash('sha256').update(key).digest('hex'),
  consumer: key,
  groups: key === 'one' ? ['gold'] : [],
}));
const credentials = credentialsResource.parse({
  kind: 'credentials',
  id: 'credentials/n/keys/s/apiKey',
  source: 'n/s',
  entries: { type: 'apiKey', keys },
});
const authentication = (optional: boolean): PolicyResource =>
  policyFixture(
    optional ? 'n/optional' : 'n/keys',
    authenticationSection.parse({
      section: 'authentication',
      methods: [
        {
          kind: 'apiKey',
          name: 'key',
          from: [{ in: 'header', name: 'x-api-key', scheme: '' }],
          credentials: [credentials.id],
          keepCredential: false,
        },
      ],
      anyOf: [['key']],
      optional,
      consumerHeader: 'x-consumer',
      groupsHeader: '',
    }),
  );
const authorization = (dryRun: boolean): PolicyResource =>
  policyFixture(
    dryRun ? 'n/dry' : 'n/gold',
    authorizationSection.parse({
      section: 'authorization',
      default: 'deny',
      dryRun,
      rules: [{ name: 'gold', action: 'allow', groups: ['gold'] }],
    }),
  );
const cors = policyFixture(
  'n/web',
  corsSection.parse({ section: 'cors', allowOrigins: ['https://good.example'], allowMethods: ['GET'] }),
);
const closed = policyFixture('n/closed', {
  section: 'fail',
  of: 'rateLimit',
  status: 503,
  code: 'policy-invalid',
  message: 'closed',
});
/** By section: at most one of each in a list of policies. The last one of `authentication` is nowhere. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  authentication: [authentication(false).id, authentication(true).id, 'policy/n/nowhere/authentication'],
  authorization: [authorization(false).id, authorization(true).id],
  cors: [cors.id],
  rateLimit: [closed.id],
};
const PARTS: Resource[] = [
  credentials,
  ...[true, false].flatMap((flag) => [authentication(flag), authorization(flag)]),
  cors,
  closed,
  ...['a', 'b'].flatMap((name) => [backendFixture(`n/${name}`), endpointsFixture(`n/${name}`, '10.0.0.1:80')]),
];
beforeAll(async () => {
  await loadStages(PARTS.map(encodeResource));
});

const policies = fc
  .tuple(...Object.values(CHOICES).map((ids) => fc.option(fc.constantFrom(...ids), { nil: undefined, freq: 3 })))
  .map((ids) => ids.flatMap((id) => id ?? []));
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.constant<Action>({ kind: 'respond', status: 200, contentType: 'text/plain', body: 'direct' }),
  fc.constant<Action>({ kind: 'redirect', status: 302, host: 'elsewhere.example' }),
  fc.constant<Action>({ kind: 'fail', status: 500, code: 'rule-invalid', message: 'broken' }),
  fc.record({ first: fc.constantFrom('a', 'b', 'nowhere'), own: fc.option(policies, { nil: undefined }) }).map(
    ({ first, own }): Action => ({
      kind: 'forward',
      backends: [
        { weight: 2, backend: `backend/n/${first}`, ...(own && { policies: own }) },
        { weight: 1, backend: 'backend/n/b' },
      ],
    }),
  ),
);
const rules = fc
  .array(
    fc.record({
      hosts: fc.constantFrom('*', 'a.example').map((host) => [host]),
      path: fc.constantFrom('/', '/x', '=/x/y'),
      methods: fc.subarray(['GET', 'POST'], { maxLength: 1 }),
      action,
      policies,
    }),
    { maxLength: 6 },
  )
  .map((list) =>
    list.map(({ hosts, path, methods, ...more }, i) =>
      ruleFixture(`n/r/${i}`, { order: i, hosts, matches: [matchFixture(path, { methods })], ...more }),
    ),
  );
const request = fc.record({
  line: fc.constantFrom('GET /', 'GET /x', 'POST /x/y', 'OPTIONS /x', 'DELETE /z'),
  authority: fc.constantFrom('a.example', 'b.example'),
  fields: fc
    .tuple(
      fc.constantFrom([], ['x-api-key', 'one'], ['x-api-key', 'two'], ['x-api-key', 'wrong']),
      fc.constantFrom([], ['origin', 'https://good.example'], ['origin', 'https://bad.example']),
      fc.constantFrom([], ['access-control-request-method', 'GET']),
    )
    .map((parts) => parts.flat()),
});

test('property: the same status and code, or the same backend; and asking changes nothing', async () => {
  const outcomes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(rules, fc.array(request, { minLength: 1, maxLength: 5 }), async (held, asked) => {
      const gateway = new Gateway();
      gateway.apply([...PARTS, ...held]);
      for (const { line, authority, fields } of asked) {
        const told = await gateway.runtime.explain(memoryExchange(line, { authority, fields: [...fields] }), undefined);
        const downstream = new MemoryDownstream();
        const before = gateway.forwarded.length;
        gateway.runtime.handler(memoryExchange(line, { authority, fields: [...fields], downstream }));
        // Where a stage answers late.
        await new Promise((resolve) => setImmediate(resolve));
        const sent = gateway.forwarded[before];
        if (sent !== undefined) {
          const chosen = told.backends.find((one) => one.chosen);
          expect([told.answer, `backend/${chosen?.backend}`]).toEqual([null, sent.upstream.id]);
          outcomes.add('forwarded');
          continue;
        }
        const code = downstream.body.startsWith('{') ? (JSON.parse(downstream.body) as { code: string }).code : '';
        expect([told.answer?.status, told.answer?.code]).toEqual([downstream.status, code]);
        outcomes.add(`${downstream.status} ${code}`);
      }
      expect(gateway.errors).toEqual([]);
    }),
    { numRuns: 400, seed: 5 },
  );
  for (const outcome of [
    'forwarded',
    '200 ',
    '204 ',
    '302 ',
    '401 credentials-missing',
    '401 api-key-unknown',
    '403 forbidden-default',
    '403 cors-origin',
    '404 no-route',
    '500 rule-invalid',
    '503 policy-invalid',
    '503 policy-rejected',
    '503 route-rejected',
  ])
    expect(outcomes).toContain(outcome);
});
