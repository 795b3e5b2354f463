import { expect, test } from 'vitest';
import { describeStoreLocation, readStoreLocation } from './location.ts';

test.each([
  ['sqlite:/var/lib/tidegate/credentials.db', 'sqlite:/var/lib/tidegate/credentials.db'],
  ['sqlite:credentials.db', 'sqlite:credentials.db'],
  ['mysql://gate:secret-word@db.example/tidegate', 'mysql://db.example:3306/tidegate'],
  ['mysql://gate:s%40%2Fcret@[::1]:3307/tide', 'mysql://[::1]:3307/tide'],
  ['mysql://gate:secret-word@db/tidegate?tls=true', 'mysql://db:3306/tidegate'],
  ['mysql://gate:secret-word@db/tidegate?tlsCa=/etc/ca.pem', 'mysql://db:3306/tidegate'],
])('%s is shown as %s', (text, shown) => {
  const location = readStoreLocation(text);
  expect(location && describeStoreLocation(location)).toBe(shown);
});

test('user, password and TLS are read', () => {
  expect(readStoreLocation('mysql://g%3Ate:p%40ss@db/t?tlsCa=/ca')).toMatchObject({
    user: 'g:te',
    password: 'p@ss',
    tlsCa: '/ca',
  });
  expect(readStoreLocation('mysql://g@db/t?tls=true')).toMatchObject({ password: '', tlsCa: '' });
  expect(readStoreLocation('mysql://g@db/t?tls=false')).toMatchObject({ tlsCa: null });
});

test.each([
  '',
  'sqlite:',
  'credentials.db',
  'mysql://db/tidegate',
  'mysql://g@db',
  'mysql://g@db/',
  'mysql://g@db/a/b',
  'mysql://g@db/t?ssl=true',
  'mysql://g@db/t?tls=yes',
  'mysql://g@db/t?tlsCa=',
  'mysql://g@db/t?tls=true&multipleStatements=true',
  'mysql://g@db/t#x',
  'mysql://%zz@db/t',
  'postgres://g@db/t',
])('%j is none', (text) => {
  expect(readStoreLocation(text)).toBeNull();
});
