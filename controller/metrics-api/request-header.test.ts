import { expect, test } from 'vitest';
import { parseRequestHeaderConfig, type RequestHeaderConfig, userOfHeaders } from './request-header.ts';

const DATA = {
  'requestheader-client-ca-file': 'PEM',
  'requestheader-allowed-names': '["front-proxy-client"]',
  'requestheader-username-headers': '["X-Remote-User"]',
  'requestheader-group-headers': '["X-Remote-Group"]',
  'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
};
const PROXY = { verified: true, commonName: 'front-proxy-client' };

function config(more: Record<string, string> = {}): RequestHeaderConfig {
  const parsed = parseRequestHeaderConfig({ ...DATA, ...more });
  if (parsed === null) throw new Error('no config');
  return parsed;
}

test('user, groups and extra come from the headers of the front proxy', () => {
  const user = userOfHeaders(config({ 'requestheader-uid-headers': '["X-Remote-Uid"]' }), PROXY, {
    'x-remote-user': ['ada'],
    'x-remote-uid': ['7'],
    'x-remote-group': ['a, b', 'c'],
    'x-remote-extra-example.com%2fscope': ['read', 'write'],
    'x-remote-extra-': ['nothing'],
  });
  expect(user).toEqual({
    name: 'ada',
    uid: '7',
    groups: ['a, b', 'c', 'system:authenticated'],
    extra: { 'example.com/scope': ['read', 'write'] },
  });
});

test.each([
  ['not verified', { verified: false, commonName: 'front-proxy-client' }],
  ['another name', { verified: true, commonName: 'someone' }],
  ['no name', { verified: true, commonName: '' }],
])('%s: headers say nothing', (_name, peer) => {
  expect(userOfHeaders(config(), peer, { 'x-remote-user': ['root'] })).toBeNull();
});

test('no allowed names: every certificate of the authority; no user header: nobody', () => {
  const open = config({ 'requestheader-allowed-names': '[]' });
  expect(userOfHeaders(open, { verified: true, commonName: 'x' }, { 'x-remote-user': ['ada'] })?.name).toBe('ada');
  expect(userOfHeaders(open, { verified: true, commonName: 'x' }, { 'x-remote-group': ['system:masters'] })).toBeNull();
  expect(userOfHeaders(open, { verified: true, commonName: 'x' }, { 'x-remote-user': [''] })).toBeNull();
});

test('nobody anonymous becomes authenticated', () => {
  const groupsOf = (name: string, groups: string[]) =>
    userOfHeaders(config(), PROXY, { 'x-remote-user': [name], 'x-remote-group': groups })?.groups;
  expect(groupsOf('system:anonymous', [])).toEqual([]);
  expect(groupsOf('x', ['system:unauthenticated'])).toEqual(['system:unauthenticated']);
  expect(groupsOf('x', ['system:authenticated'])).toEqual(['system:authenticated']);
});

test('names of extra are data, not properties', () => {
  const extra = userOfHeaders(config(), PROXY, {
    'x-remote-user': ['ada'],
    'x-remote-extra-__proto__': ['a'],
    'x-remote-extra-constructor': ['b'],
    'x-remote-extra-%zz': ['c'],
  })?.extra;
  expect(Object.entries(extra ?? {})).toEqual([
    ['__proto__', ['a']],
    ['constructor', ['b']],
    ['%zz', ['c']],
  ]);
});

test.each([
  ['no authority', { 'requestheader-client-ca-file': '' }],
  ['no user headers', { 'requestheader-username-headers': '[]' }],
  ['allowed names that are no list', { 'requestheader-allowed-names': '{"a":1}' }],
  ['allowed names that are no JSON', { 'requestheader-allowed-names': '[front' }],
  ['groups that are no strings', { 'requestheader-group-headers': '[1]' }],
])('%s: nobody is let in by headers', (_name, more) => {
  expect(parseRequestHeaderConfig({ ...DATA, ...more })).toBeNull();
  expect(parseRequestHeaderConfig(undefined)).toBeNull();
});
