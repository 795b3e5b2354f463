import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** One program to build: where its module lies and which package of it is the program. */
export interface Program {
  name: string;
  /** Folder with the go.mod, relative to this one. */
  module: string;
  package: string;
}

/** In the order of building: kube-apiserver first, because the others find half of their packages compiled. */
export const programs: readonly Program[] = [
  { name: 'kube-apiserver', module: '.', package: 'k8s.io/kubernetes/cmd/kube-apiserver' },
  { name: 'kube-controller-manager', module: '.', package: 'k8s.io/kubernetes/cmd/kube-controller-manager' },
  { name: 'kube-scheduler', module: '.', package: 'k8s.io/kubernetes/cmd/kube-scheduler' },
  { name: 'kube-proxy', module: '.', package: 'k8s.io/kubernetes/cmd/kube-proxy' },
  { name: 'kubectl', module: '.', package: 'k8s.io/kubernetes/cmd/kubectl' },
  { name: 'etcd', module: '.', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'coredns', module: 'tools/coredns', package: '.' },
  { name: 'helm', module: 'tools/helm', package: 'helm.sh/helm/v3/cmd/helm' },
];

const folder = import.meta.dirname;

export interface Versions {
  kubernetes: string;
  etcd: string;
  coredns: string;
  helm: string;
}

/** The versions the go.mod files name, with their leading v. */
export function readVersions(): Versions {
  const tools = readFileSync(join(folder, 'go.mod'), 'utf8');
  return {
    kubernetes: requiredVersion(tools, 'k8s.io/kubernetes'),
    etcd: requiredVersion(tools, 'go.etcd.io/etcd/server/v3'),
    coredns: requiredVersion(readFileSync(join(folder, 'tools/coredns/go.mod'), 'utf8'), 'github.com/coredns/coredns'),
    helm: requiredVersion(readFileSync(join(folder, 'tools/helm/go.mod'), 'utf8'), 'helm.sh/helm/v3'),
  };
}

/** Where the built programs lie: one folder a set of versions, named by Kubernetes' and a hash of all that goes into the build. */
export function binDirectory(): string {
  const hash = createHash('sha256');
  for (const module of new Set(programs.map((program) => program.module))) {
    hash.update(readFileSync(join(folder, module, 'go.mod'))).update(readFileSync(join(folder, module, 'go.sum')));
  }
  hash.update(readFileSync(join(folder, 'tools/coredns/main.go'))).update(`${process.platform} ${process.arch}`);
  return join(homedir(), '.cache', 'tidegate', 'bin', `${readVersions().kubernetes}-${hash.digest('hex').slice(0, 8)}`);
}

function requiredVersion(goMod: string, module: string): string {
  const match = goMod.split('\n').find((line) => line.replace(/^\s*(require\s+)?/, '').startsWith(`${module} v`));
  const version = match?.match(/ (v[0-9][^\s]*)/)?.[1];
  if (version === undefined) throw new Error(`go.mod names no version of ${module}`);
  return version;
}
