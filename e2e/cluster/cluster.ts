import type { Image, ImageTable } from './images.ts';
import type { RunOptions, RunResult } from './process.ts';

export interface ClusterOptions {
  /** What runs for each image name the pods use. More can be added later with `addImages`. */
  images?: ImageTable;
  /** Number of Nodes, 1 to 10; 2 when absent. */
  nodes?: number;
  /** How often the HPA controller looks, milliseconds; 2 000 when absent (a real cluster: 15 000). */
  hpaSyncPeriodMs?: number;
  /** How long the HPA remembers a higher recommendation, milliseconds; 10 000 when absent (a real cluster: 300 000). */
  hpaDownscaleStabilizationMs?: number;
  /** First wait before a crashed container starts again, milliseconds, doubled each time; 10 000 as in a real cluster when absent. */
  restartBackoffMs?: number;
  /** Longest such wait, milliseconds; 300 000 when absent. */
  restartBackoffMaxMs?: number;
  /** Keep the run directory with the logs at stop. */
  keepLogs?: boolean;
  /** Cancels the start; what was started is removed again. Has no meaning once the cluster runs. */
  signal?: AbortSignal;
  /** Told of each step, with the time since the start. Silent when absent. */
  log?: (line: string) => void;
}

/** A Kubernetes cluster to test on, whichever way it was had. */
export interface Cluster {
  kind: 'processes' | 'external' | 'k3s';
  /** Path of a kubeconfig with all rights. Its server is reachable for programs started through this object. */
  kubeconfig: string;
  /** Path of kubectl. */
  kubectlPath: string;
  /** Path of helm. */
  helmPath: string;
  /** Only for `processes`: the network namespace that reaches pods and Services (`ip netns exec NAME …`). */
  networkNamespace?: string;
  /** Only for `processes`: folder with state, and the log of each component in `logs/`. */
  runDirectory?: string;
  /** False when another process started it; `stop` then does nothing. */
  ownsCluster: boolean;
  /** argv that runs a program where pod and Service addresses can be reached and names resolve (with `processes`), else unchanged. */
  inside: (argv: readonly string[]) => string[];
  /** Environment for such a program: KUBECONFIG, and PATH with kubectl and helm. */
  env: () => NodeJS.ProcessEnv;
  /** Runs a program inside, to its end. */
  exec: (argv: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Runs kubectl and returns what it wrote to stdout; throws with its stderr when it fails. */
  kubectl: (args: readonly string[], options?: RunOptions) => Promise<string>;
  /** Runs helm likewise. */
  helm: (args: readonly string[], options?: RunOptions) => Promise<string>;
  /** `kubectl apply --server-side` of objects or of a YAML text. */
  apply: (manifest: string | object | readonly object[], options?: RunOptions) => Promise<string>;
  /** `kubectl get … -o json`, parsed. */
  get: <T>(args: readonly string[], options?: RunOptions) => Promise<T>;
  /** Adds to the image table, or replaces in it; for containers that start from now on. Only for `processes`. */
  addImages: (images: Readonly<Record<string, Image>>) => void;
  stop: () => Promise<void>;
}
