/** The credential store on a real MariaDB. */
import { randomBytes } from 'node:crypto';
import { credentialStoreConformance } from '../../dataplane/store/credentials/conformance.ts';
import { readStoreLocation } from '../../dataplane/store/credentials/location.ts';
import { openMysql } from '../../dataplane/store/credentials/mysql-driver.ts';
import { openCredentialStore } from '../../dataplane/store/credentials/open.ts';
import type { Component } from '../components/component.ts';
import { describeWith } from '../components/in-tests.ts';
import { startMariaDb } from '../components/mariadb.ts';

/** A database of its own on the server. */
async function freshDatabase({ url }: Component) {
  const name = `tidegate_${randomBytes(6).toString('hex')}`;
  const statement = async (sql: string) => {
    const driver = await openMysql(locationOf(url), 5_000);
    await driver.query(sql);
    await driver.close();
  };
  await statement(`CREATE DATABASE ${name}`);
  const location = locationOf(Object.assign(new URL(url), { pathname: `/${name}` }).href);
  return { location, drop: () => statement(`DROP DATABASE ${name}`) };
}

function locationOf(url: string) {
  const location = readStoreLocation(url);
  if (location?.kind !== 'mysql') throw new Error('not a MySQL URL');
  return location;
}

describeWith(await startMariaDb(), 'MariaDB', (server) => {
  credentialStoreConformance(async () => {
    const { location, drop } = await freshDatabase(server);
    return { open: () => openCredentialStore(location, 5_000), dispose: drop };
  });
});
