/** Where the two programs are, beside this one: compiled (dist) or, in development, as source. */
import { fileURLToPath } from 'node:url';

export interface Programs {
  readonly controller: string;
  readonly dataplane: string;
}

export function programs(here: string = import.meta.url): Programs {
  const compiled = here.endsWith('.js');
  const extension = compiled ? 'js' : 'ts';
  // controller/dist/cli/x.js or controller/cli/x.ts
  const root = new URL(compiled ? '../../../' : '../../', here);
  const folder = compiled ? 'dist/' : '';
  return {
    controller: fileURLToPath(new URL(`controller/${folder}main.${extension}`, root)),
    dataplane: fileURLToPath(new URL(`dataplane/${folder}main.${extension}`, root)),
  };
}
