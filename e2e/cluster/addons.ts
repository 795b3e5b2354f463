import { join } from 'node:path';
import type { ImageTable } from './images.ts';
import { addresses } from './network.ts';

const corefile = `.:53 {
    errors
    health {
        lameduck 1s
    }
    ready
    kubernetes ${addresses.domain} in-addr.arpa {
        pods insecure
        ttl 5
    }
    cache 5
    loadbalance
}
`;

const coreDnsImage = 'tidegate/coredns:built';

/** The images of the cluster's own pods. */
export function addonImages(bin: string): ImageTable {
  return {
    [coreDnsImage]: {
      command: ['/coredns'],
      mounts: [{ source: join(bin, 'coredns'), target: '/coredns' }],
    },
  };
}

const labels = { 'k8s-app': 'kube-dns' };
const coreDnsMeta = { name: 'coredns', namespace: 'kube-system' };

/** What a cluster has beside its control plane, as one List: the cluster's DNS, and the right of kubelet's client to reach Nodes. */
export const addonManifest = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: coreDnsMeta },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
      subjects: [{ kind: 'ServiceAccount', ...coreDnsMeta }],
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: coreDnsMeta, data: { Corefile: corefile } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace: 'kube-system', labels },
      spec: {
        selector: labels,
        clusterIP: addresses.dnsService,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { ...coreDnsMeta, labels },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: 'coredns',
            priorityClassName: 'system-cluster-critical',
            // Its own resolver would be itself.
            dnsPolicy: 'None',
            dnsConfig: { nameservers: ['127.0.0.1'] },
            containers: [
              {
                name: 'coredns',
                image: coreDnsImage,
                args: ['-conf', '/etc/coredns/Corefile'],
                ports: [
                  { name: 'dns', containerPort: 53, protocol: 'UDP' },
                  { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
                ],
                readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
                livenessProbe: { httpGet: { path: '/health', port: 8080 }, initialDelaySeconds: 30 },
                volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
              },
            ],
            volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
          },
        },
      },
    },
    // kube-proxy runs outside a pod; kubeadm binds its service account, here it is a user.
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'tidegate-e2e:node-proxier' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-proxier' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'system:kube-proxy' }],
    },
  ],
} as const;
