/** The path and the methods a match asks for, said once however they were written. Pure. */
import type { PathMatch } from '@tidegate/dataplane/snapshot/primitives';
import type { GrpcMatch, RouteMatch } from '../api/v1alpha1/route.ts';

export function pathOf({ grpc, path }: RouteMatch): PathMatch {
  if (grpc !== undefined) return callPath(grpc);
  if (path?.exact !== undefined) return { kind: 'exact', value: path.exact };
  if (path?.regex !== undefined) return { kind: 'regex', value: path.regex };
  return { kind: 'prefix', value: path?.prefix ?? '/' };
}

export function methodsOf({ grpc, methods }: RouteMatch): string[] {
  return grpc === undefined ? (methods ?? []) : ['POST'];
}

/** The path of a call is /service/method (github.com/grpc/grpc doc/PROTOCOL-HTTP2.md). */
function callPath({ service, method, regex }: GrpcMatch): PathMatch {
  if (regex === true) return { kind: 'regex', value: `/${patternOf(service)}/${patternOf(method)}` };
  if (method === undefined) return { kind: 'prefix', value: `/${service}` };
  if (service === undefined) return { kind: 'regex', value: `/${patternOf()}/${method}` };
  return { kind: 'exact', value: `/${service}/${method}` };
}

function patternOf(name?: string): string {
  return name === undefined ? '[^/]+' : `(?:${name})`;
}
