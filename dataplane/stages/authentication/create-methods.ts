/** The methods of one policy: made together or not at all, each with a voice of its own. */
import type { AuthenticationMethod } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import type { Method } from './method.ts';
import { createMethod } from './methods.ts';

/** Throws StageError; what was made before is ended. */
export function createMethods(configs: readonly AuthenticationMethod[], context: StageContext): Method[] {
  const said = new Map<string, string>();
  const methods: Method[] = [];
  try {
    for (const [index, config] of configs.entries()) {
      // A policy has one voice: all that its methods can't do is said together.
      const trouble = (message: string | null): void => {
        if (message === null) said.delete(config.name);
        else said.set(config.name, message);
        context.trouble(said.size === 0 ? null : [...said.values()].join('; '));
      };
      methods.push(createMethod(config, { ...context, trouble }, `methods[${index}]`));
    }
    return methods;
  } catch (error) {
    closeAll(methods);
    throw error;
  }
}

export function closeAll(methods: readonly Method[]): void {
  for (const method of methods) method.close?.();
}
