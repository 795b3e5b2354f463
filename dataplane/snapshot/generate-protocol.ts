/**
 * Writes generated/gateway.ts from gateway.proto, so that no program has to find a .proto file at run time: `node
 * dataplane/snapshot/generate-protocol.ts`. protocol.test.ts fails when the two differ.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

interface Protobuf {
  parse(source: string, options: { keepCase: boolean }): { root: { toJSON(): unknown } };
}

/** The module text that belongs to a `.proto` text. */
export function renderProtocolModule(proto: string): string {
  // protobufjs is a dependency of proto-loader; resolved from there, so that both parse with the same version.
  const fromLoader = createRequire(import.meta.resolve('@grpc/proto-loader'));
  const protobuf = fromLoader('protobufjs') as Protobuf;
  const json = JSON.stringify(protobuf.parse(proto, { keepCase: false }).root.toJSON(), null, 1);
  return `// Generated from ../gateway.proto by ../generate-protocol.ts. Do not edit.\nexport const gatewayDescriptor = ${json};\n`;
}

if (import.meta.main) {
  const folder = import.meta.dirname;
  writeFileSync(
    `${folder}/generated/gateway.ts`,
    renderProtocolModule(readFileSync(`${folder}/gateway.proto`, 'utf8')),
  );
}
