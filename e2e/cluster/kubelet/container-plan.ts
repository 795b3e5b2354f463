import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from '../images.ts';
import type { KubeletConfig } from './config.ts';
import { expandReferences } from './expansion.ts';
import type { BindMount, LaunchPlan } from './launch.ts';
import type { Container, Pod } from './types.ts';
import type { PodVolumes } from './volumes.ts';

/** What container runtimes leave a container by default. */
const defaultCapabilities = [
  ...['chown', 'dac_override', 'fsetid', 'fowner', 'mknod', 'net_raw', 'setgid', 'setuid', 'setfcap', 'setpcap'],
  ...['net_bind_service', 'sys_chroot', 'kill', 'audit_write'],
];

/** The pod's surroundings a container's plan is made from. */
export interface PlanContext {
  config: KubeletConfig;
  pod: Pod;
  podDirectory: string;
  podAddress: string;
  networkNamespace: string;
  volumes: PodVolumes;
}

/** Writes the files of /etc a runtime makes for the pod (hosts, resolv.conf, …). */
export function writePodEtc({ config, pod, podDirectory, podAddress }: PlanContext): void {
  const etc = join(podDirectory, 'etc');
  mkdirSync(etc, { recursive: true });
  const hostname = pod.spec.hostname ?? pod.metadata.name;
  const aliases = (pod.spec.hostAliases ?? []).map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join(' ')}`);
  writeFileSync(join(etc, 'hosts'), ['127.0.0.1\tlocalhost', `${podAddress}\t${hostname}`, ...aliases, ''].join('\n'));
  writeFileSync(join(etc, 'hostname'), `${hostname}\n`);
  writeFileSync(join(etc, 'nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  const { domain, namespace } = { domain: config.clusterDomain, namespace: pod.metadata.namespace ?? 'default' };
  const own = pod.spec.dnsPolicy === 'None';
  const extra = pod.spec.dnsConfig;
  const nameservers = [...(own ? [] : [config.clusterDns]), ...(extra?.nameservers ?? [])];
  const searches = [
    ...(own ? [] : [`${namespace}.svc.${domain}`, `svc.${domain}`, domain]),
    ...(extra?.searches ?? []),
  ];
  const options = [
    ...(own ? [] : ['ndots:5']),
    ...(extra?.options ?? []).map(({ name, value }) => (value === undefined ? name : `${name}:${value}`)),
  ];
  writeFileSync(
    join(etc, 'resolv.conf'),
    [
      ...nameservers.map((address) => `nameserver ${address}`),
      ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
      ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
      '',
    ].join('\n'),
  );
}

/** Puts image, container and pod together into what is launched; throws on what a runtime would refuse. */
export function planContainer(
  context: PlanContext,
  container: Container,
  image: Image,
  env: Readonly<Record<string, string>>,
  logFile: string,
): LaunchPlan {
  const { pod, podDirectory } = context;
  const security = { ...pod.spec.securityContext, ...container.securityContext };
  const [imageUid = '0', imageGid] = (image.user ?? '0').split(':');
  const uid = security.runAsUser ?? Number(imageUid);
  const gid =
    security.runAsGroup ??
    (security.runAsUser === undefined && imageGid !== undefined
      ? Number(imageGid)
      : uid === 0
        ? 0
        : Number(imageGid) || 0);
  if (security.runAsNonRoot === true && uid === 0)
    throw new Error('container has runAsNonRoot and image will run as root');
  const groups = [...(pod.spec.securityContext?.supplementalGroups ?? [])];
  const fsGroup = pod.spec.securityContext?.fsGroup;
  if (fsGroup !== undefined) groups.push(fsGroup);
  const expand = (list: readonly string[]) => list.map((text) => expandReferences(text, env));
  // As in Kubernetes: command replaces ENTRYPOINT and drops CMD, args replaces CMD.
  const command = container.command ?? image.command;
  const args = container.args ?? (container.command === undefined ? (image.args ?? []) : []);
  const home = join(podDirectory, 'containers', container.name);
  mkdirSync(home, { recursive: true });
  return {
    home,
    networkNamespace: context.networkNamespace,
    hostname: (pod.spec.hostname ?? pod.metadata.name).slice(0, 63),
    mounts: mountsOf(context, container, image, home, uid, gid),
    readOnlyRoot: security.readOnlyRootFilesystem === true,
    workingDir: container.workingDir ?? image.workingDir ?? '/',
    uid,
    gid,
    groups,
    capabilities: security.privileged === true ? '+all' : capabilitySet(security.capabilities),
    noNewPrivileges: security.allowPrivilegeEscalation === false,
    env,
    argv: [...expand(command), ...expand(args)],
    logFile,
  };
}

function capabilitySet(change: { add?: string[]; drop?: string[] } = {}): string {
  const names = (list: string[] = []) => list.map((name) => name.toLowerCase().replace(/^cap_/, ''));
  const dropped = new Set(names(change.drop));
  const kept = dropped.has('all') ? [] : defaultCapabilities.filter((name) => !dropped.has(name));
  return ['-all', ...new Set([...kept, ...names(change.add)])]
    .map((name) => (name === '-all' ? name : `+${name}`))
    .join(',');
}

function mountsOf(
  context: PlanContext,
  container: Container,
  image: Image,
  home: string,
  uid: number,
  gid: number,
): BindMount[] {
  const { pod, podDirectory, volumes } = context;
  writeFileSync(join(home, 'passwd'), passwdLines(uid, gid));
  writeFileSync(join(home, 'group'), `root:x:0:\nnogroup:x:65534:\n${gid === 0 ? '' : `app:x:${gid}:\n`}`);
  writeFileSync(join(home, 'termination-log'), '', { mode: 0o666 });
  const etcFile = (source: string, name: string): BindMount => ({
    source: join(source, name),
    target: `/etc/${name}`,
    readOnly: true,
  });
  const volumeMounts = (container.volumeMounts ?? []).map((mount): BindMount => {
    const volume = pod.spec.volumes?.find(({ name }) => name === mount.name);
    if (volume === undefined) throw new Error(`volume "${mount.name}" is not declared`);
    const path = volumes.path(volume);
    const writable = volume.emptyDir !== undefined || volume.hostPath !== undefined;
    return {
      source: mount.subPath === undefined ? path : subPath(path, mount.subPath, writable),
      target: mount.mountPath,
      readOnly: mount.readOnly === true || !writable,
    };
  });
  return [
    ...(image.mounts ?? []).map(({ source, target, readOnly }) => ({ source, target, readOnly: readOnly !== false })),
    ...['hosts', 'hostname', 'resolv.conf', 'nsswitch.conf'].map((name) => etcFile(join(podDirectory, 'etc'), name)),
    etcFile(home, 'passwd'),
    etcFile(home, 'group'),
    {
      source: join(home, 'termination-log'),
      target: container.terminationMessagePath ?? '/dev/termination-log',
      readOnly: false,
    },
    // Outer before inner, so that a mount inside another's folder is not hidden by it.
    ...volumeMounts.sort((a, b) => a.target.length - b.target.length),
  ];
}

function subPath(volume: string, path: string, writable: boolean): string {
  const full = join(volume, path);
  if (writable) mkdirSync(full, { recursive: true });
  const real = realpathSync(full);
  if (real !== realpathSync(volume) && !real.startsWith(`${realpathSync(volume)}/`))
    throw new Error(`subPath ${path} leaves its volume`);
  return real;
}

function passwdLines(uid: number, gid: number): string {
  const known = ['root:x:0:0:root:/root:/bin/sh', 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin'];
  const own = uid === 0 || uid === 65534 ? [] : [`app:x:${uid}:${gid}:app:/:/usr/sbin/nologin`];
  return `${[...known, ...own].join('\n')}\n`;
}
