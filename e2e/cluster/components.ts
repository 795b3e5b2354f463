import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CertificateFiles,
  createAuthority,
  createSigningKey,
  issueCertificate,
  writeKubeconfig,
} from './certificates.ts';
import { addresses, nodeAddress } from './network.ts';

/** The identities of a run: files under its pki folder, and a kubeconfig for every client. */
export interface Identities {
  authority: CertificateFiles;
  frontProxyAuthority: CertificateFiles;
  frontProxyClient: CertificateFiles;
  apiServer: CertificateFiles;
  kubeletClient: CertificateFiles;
  serviceAccount: { key: string; publicKey: string };
  /** One for each Node: its client identity and its serving certificate. */
  nodes: { name: string; address: string; certificate: CertificateFiles }[];
  kubeconfigs: { admin: string; controllerManager: string; scheduler: string; proxy: string };
}

/** How the controllers behave where tests want them faster or slower than a real cluster's defaults. */
export interface ControllerSettings {
  /** How often the HPA controller looks, milliseconds. */
  hpaSyncPeriodMs: number;
  /** How long the HPA remembers a higher recommendation before it scales down, milliseconds. */
  hpaDownscaleStabilizationMs: number;
}

const apiPort = 6443;
export const apiServerUrl = `https://${addresses.controlPlane}:${apiPort}`;

export async function createIdentities(runPath: string, nodeNames: readonly string[]): Promise<Identities> {
  const pki = join(runPath, 'pki');
  const [authority, frontProxyAuthority] = await Promise.all([
    createAuthority(pki, 'ca'),
    createAuthority(pki, 'front-proxy-ca'),
  ]);
  const issue = (name: string, commonName: string, organization?: string, alternativeNames?: string[]) =>
    issueCertificate(pki, authority, {
      name,
      commonName,
      ...(organization === undefined ? {} : { organization }),
      ...(alternativeNames === undefined ? {} : { alternativeNames }),
    });
  const serviceNames = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${addresses.domain}`,
  ];
  const [apiServer, kubeletClient, frontProxyClient, admin, controllerManager, scheduler, proxy, ...nodeCertificates] =
    await Promise.all([
      issue('apiserver', 'kube-apiserver', undefined, [
        ...serviceNames.map((name) => `DNS:${name}`),
        'DNS:localhost',
        ...['127.0.0.1', addresses.controlPlane, addresses.kubernetesService].map((ip) => `IP:${ip}`),
      ]),
      issue('apiserver-kubelet-client', 'kube-apiserver-kubelet-client', 'system:masters'),
      issueCertificate(pki, frontProxyAuthority, { name: 'front-proxy-client', commonName: 'front-proxy-client' }),
      issue('admin', 'kubernetes-admin', 'system:masters'),
      issue('controller-manager', 'system:kube-controller-manager'),
      issue('scheduler', 'system:kube-scheduler'),
      issue('proxy', 'system:kube-proxy'),
      ...nodeNames.map((name, i) =>
        issue(`node-${name}`, `system:node:${name}`, 'system:nodes', [`DNS:${name}`, `IP:${nodeAddress(i)}`]),
      ),
    ]);
  const kubeconfig = (name: string, user: CertificateFiles) => {
    const path = join(runPath, 'kubeconfigs', name);
    writeKubeconfig(path, apiServerUrl, authority.cert, user);
    return path;
  };
  return {
    authority,
    frontProxyAuthority,
    frontProxyClient,
    apiServer,
    kubeletClient,
    serviceAccount: createSigningKey(pki, 'service-account'),
    nodes: nodeNames.flatMap((name, i) => {
      const certificate = nodeCertificates[i];
      return certificate === undefined ? [] : [{ name, address: nodeAddress(i), certificate }];
    }),
    kubeconfigs: {
      admin: kubeconfig('admin', admin),
      controllerManager: kubeconfig('controller-manager', controllerManager),
      scheduler: kubeconfig('scheduler', scheduler),
      proxy: kubeconfig('proxy', proxy),
    },
  };
}

export function etcdArguments(runPath: string): string[] {
  return [
    `--data-dir=${join(runPath, 'etcd')}`,
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--initial-advertise-peer-urls=http://127.0.0.1:2380',
    '--initial-cluster=default=http://127.0.0.1:2380',
    // The data is thrown away with the run.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

export function apiServerArguments(ids: Identities): string[] {
  return [
    '--etcd-servers=http://127.0.0.1:2379',
    '--bind-address=0.0.0.0',
    `--secure-port=${apiPort}`,
    `--advertise-address=${addresses.controlPlane}`,
    `--service-cluster-ip-range=${addresses.serviceRange}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--client-ca-file=${ids.authority.cert}`,
    `--tls-cert-file=${ids.apiServer.cert}`,
    `--tls-private-key-file=${ids.apiServer.key}`,
    `--kubelet-certificate-authority=${ids.authority.cert}`,
    `--kubelet-client-certificate=${ids.kubeletClient.cert}`,
    `--kubelet-client-key=${ids.kubeletClient.key}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-issuer=https://kubernetes.default.svc.${addresses.domain}`,
    `--service-account-key-file=${ids.serviceAccount.publicKey}`,
    `--service-account-signing-key-file=${ids.serviceAccount.key}`,
    // What an aggregated API needs to trust the requests the API server passes on.
    `--requestheader-client-ca-file=${ids.frontProxyAuthority.cert}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-username-headers=X-Remote-User',
    `--proxy-client-cert-file=${ids.frontProxyClient.cert}`,
    `--proxy-client-key-file=${ids.frontProxyClient.key}`,
    '--profiling=false',
  ];
}

export function controllerManagerArguments(ids: Identities, settings: ControllerSettings): string[] {
  return [
    ...clientArguments(ids.kubeconfigs.controllerManager, ids),
    '--bind-address=127.0.0.1',
    '--controllers=*',
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${ids.serviceAccount.key}`,
    `--root-ca-file=${ids.authority.cert}`,
    `--cluster-signing-cert-file=${ids.authority.cert}`,
    `--cluster-signing-key-file=${ids.authority.key}`,
    '--allocate-node-cidrs=true',
    `--cluster-cidr=${addresses.podRange}`,
    `--service-cluster-ip-range=${addresses.serviceRange}`,
    `--horizontal-pod-autoscaler-sync-period=${settings.hpaSyncPeriodMs}ms`,
    `--horizontal-pod-autoscaler-downscale-stabilization=${settings.hpaDownscaleStabilizationMs}ms`,
    '--kube-api-qps=100',
    '--kube-api-burst=200',
    '--profiling=false',
  ];
}

export function schedulerArguments(ids: Identities): string[] {
  return [
    ...clientArguments(ids.kubeconfigs.scheduler, ids),
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
    '--kube-api-qps=100',
    '--kube-api-burst=200',
    '--profiling=false',
  ];
}

/** Both Nodes share one network, so one kube-proxy serves both. */
export function proxyArguments(runPath: string, ids: Identities): string[] {
  const file = join(runPath, 'kube-proxy.json');
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig: ids.kubeconfigs.proxy },
    clusterCIDR: addresses.podRange,
    hostnameOverride: ids.nodes[0]?.name ?? '',
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    // The machine's connection tracking limits are not ours to change.
    conntrack: { maxPerCore: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
  writeFileSync(file, JSON.stringify(config, null, 2));
  return [`--config=${file}`];
}

function clientArguments(kubeconfig: string, ids: Identities): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--client-ca-file=${ids.authority.cert}`,
    `--requestheader-client-ca-file=${ids.frontProxyAuthority.cert}`,
  ];
}
