/** What one process kubelet is told by the cluster that starts it: the content of its config.json. */
export interface KubeletConfig {
  nodeName: string;
  /** What the Node calls its kubelet's version. */
  version: string;
  /** The Node's address inside the run's network namespace. */
  address: string;
  runDirectory: string;
  /** Folder for this Node's pods. */
  home: string;
  /** The run's network namespace; pods' namespaces are named after it. */
  networkNamespace: string;
  server: string;
  authorityFile: string;
  certFile: string;
  keyFile: string;
  clusterDns: string;
  clusterDomain: string;
  zone: string;
  /** First wait before a crashed container starts again, doubled each time. */
  restartBackoffMs: number;
  restartBackoffMaxMs: number;
}

/** Port of the kubelet's HTTPS server, as in a real cluster. */
export const kubeletPort = 10250;
