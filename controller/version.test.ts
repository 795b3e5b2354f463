import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VERSION } from './version.ts';

test.each(['../package.json', './package.json', '../dataplane/package.json'])(
  'the version is the one of %s',
  (file) => {
    expect(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).version).toBe(VERSION);
  },
);
