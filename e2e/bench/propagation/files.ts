/** Routes as files of a folder a controller watches, each appearing whole by a rename. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backendYaml, routeYaml } from '../peers/tidegate.ts';
import type { NewRoute, Target } from './target.ts';

export function filesTarget(folder: string, backendPort: number): Target {
  const outside = `${folder}.new`;
  mkdirSync(outside, { recursive: true });
  const write = (name: string, text: string) => {
    writeFileSync(join(outside, name), text);
    renameSync(join(outside, name), join(folder, name));
  };
  const add = async (route: NewRoute) => {
    write(`${route.name}.yaml`, routeYaml(route.name, route.prefix));
    return performance.now();
  };
  return {
    addMany: async (routes) => {
      write('backend.yaml', backendYaml(backendPort));
      for (const route of routes) await add(route);
    },
    add,
    settled: async () => {},
  };
}
