/** HTTPS and the size of bodies, from how a user writes it to how a data plane runs it. */
import { durationMs } from '../../api/duration.ts';
import type { SectionSpec } from '../../model/policy.ts';
import type { Compiled } from './compile.ts';

export function compileSecurity({ requireHttps, hsts, maxBodyBytes }: SectionSpec<'security'>): Compiled<'security'> {
  return {
    section: 'security',
    ...(requireHttps === undefined ? {} : { requireHttps }),
    ...(hsts === undefined
      ? {}
      : {
          hsts: {
            maxAgeSeconds: Math.floor(durationMs(hsts.maxAge) / 1000),
            includeSubDomains: hsts.includeSubDomains,
            preload: hsts.preload,
          },
        }),
    ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
  };
}
