import { expect, test } from 'vitest';
import { candidates, parseHosts, parseSearchRules } from './system-names.ts';

test('the hosts file: names in any case, several addresses, comments', () => {
  const hosts = parseHosts(
    '127.0.0.1\tlocalhost # here\n::1 localhost\n\n# 10.0.0.1 not\n 10.0.0.2  Db.Example db\n10.0.0.2 db',
  );
  expect(hosts.get('localhost')).toEqual(['127.0.0.1', '::1']);
  expect(hosts.get('db.example')).toEqual(['10.0.0.2']);
  expect(hosts.get('db')).toEqual(['10.0.0.2']);
  expect(hosts.get('not')).toBeUndefined();
});

test('resolv.conf: the last search counts, ndots is bounded', () => {
  const text =
    '; a comment\nsearch first.example\nnameserver 10.0.0.10\nsearch ns.svc.cluster.local. cluster.local\noptions edns0 ndots:99';
  expect(parseSearchRules(text)).toEqual({ domains: ['ns.svc.cluster.local', 'cluster.local'], ndots: 15 });
  expect(parseSearchRules('domain example.com\n')).toEqual({ domains: ['example.com'], ndots: 1 });
  expect(parseSearchRules('')).toEqual({ domains: [], ndots: 1 });
});

test('search domains come first for names with few dots, last for others, and never for whole names', () => {
  const rules = { domains: ['ns.svc', 'svc'], ndots: 2 };
  expect(candidates('db', rules)).toEqual(['db.ns.svc', 'db.svc', 'db']);
  expect(candidates('db.other', rules)).toEqual(['db.other.ns.svc', 'db.other.svc', 'db.other']);
  expect(candidates('db.example.com', rules)).toEqual([
    'db.example.com',
    'db.example.com.ns.svc',
    'db.example.com.svc',
  ]);
  expect(candidates('db.', rules)).toEqual(['db']);
});
