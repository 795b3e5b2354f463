import { describe, expect, test } from 'vitest';
import { compileExpression, ExpressionError, type Subject } from './expression.ts';

const subject: Subject = {
  method: 'GET',
  path: '/orders/42',
  host: 'api.example.com',
  headers: new Map([['x-tenant', 'acme']]),
  query: new Map([['page', '2']]),
  address: '192.0.2.7',
  time: new Date('2026-11-24T18:30:00Z'),
  consumer: 'acme',
  groups: ['gold', 'staff'],
  scopes: ['orders:read'],
  certificate: null,
  claims: { level: 3, email_verified: true, realm: { roles: ['admin'] }, 'https://example.com/tier': 'gold' },
};

test.each([
  ['request.method == "GET" && request.path.startsWith("/orders/")', true],
  ['request.host.endsWith(".example.com") && request.address == "192.0.2.7"', true],
  ['request.headers["x-tenant"] == auth.consumer', true],
  ['"x-debug" in request.headers', false],
  ['request.query["page"] == "2"', true],
  ['request.time.getHours() == 18 && request.time.getDayOfWeek() == 2', true],
  ['request.time < timestamp("2027-01-01T00:00:00Z")', true],
  ['"staff" in auth.groups && !("banned" in auth.groups)', true],
  ['auth.scopes.exists(s, s.startsWith("orders:"))', true],
  ['auth.claims.level >= 3 && auth.claims.email_verified', true],
  ['auth.claims.level == 3', true],
  ['"admin" in auth.claims.realm.roles', true],
  ['auth.claims["https://example.com/tier"] == "gold"', true],
  ['has(auth.claims.missing) && auth.claims.missing == 1', false],
  ['auth.claims.email_verified', true],
  ['request.path.matches("^/orders/[0-9]+$")', true],
  ['["GET", "HEAD"].exists(m, m == request.method)', true],
])('%s: %s', (source, expected) => {
  expect(compileExpression(source).holds(subject)).toBe(expected);
});

test.each([
  ['auth.claims.missing == 1'],
  ['auth.claims.level'],
  ['auth.claims.constructor == "x"'],
  ['auth.claims.__proto__ == "x"'],
  ['auth.claims.level.startsWith("x")'],
  ['request.headers["none"] == ""'],
  ['1 / 0 == 1'],
])('%s can not be told', (source) => {
  expect(() => compileExpression(source).holds(subject)).toThrow();
});

describe('what can not be used is refused with its place', () => {
  test.each([
    ['', 'unexpected token', 0],
    ['request.method ==', 'unexpected token', 17],
    ['request.methd == "GET"', 'no such key: methd', 8],
    ['user == "x"', 'unknown variable: user', 0],
    ['request.method == 1', 'no such overload', 0],
    ['request.method', 'is a string, not a bool', 0],
    ['request.subject == 1', 'no such key', 8],
    ['request.path.matches(request.host)', 'matches needs its pattern as a literal string', 21],
    ['cel.bind(x, true, x)', 'cel.bind is not allowed', 0],
    ['auth.groups.all(a, auth.groups.all(b, auth.groups.all(c, true)))', 'more than twice', 38],
    [`${'true && '.repeat(100)}true`, 'exceeded', 0],
    [`request.method == "${'x'.repeat(1024)}"`, 'longer than 1024', 1024],
  ])('%s', (source, says, at) => {
    let thrown: unknown;
    try {
      compileExpression(source);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ExpressionError);
    expect((thrown as ExpressionError).message.toLowerCase()).toContain(says);
    if (at > 0) expect((thrown as ExpressionError).at).toBe(at);
  });
});

test('whether it asks who calls, and what patterns it holds', () => {
  expect(compileExpression('request.method == "GET"').asksIdentity).toBe(false);
  expect(compileExpression('["a"].exists(g, g in auth.groups)').asksIdentity).toBe(true);
  const { patterns } = compileExpression('request.path.matches("a+") || auth.scopes.exists(s, s.matches(r"b"))');
  expect(patterns).toEqual([
    { pattern: 'a+', at: 21 },
    { pattern: 'b', at: 62 },
  ]);
});
