import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file or folder of this machine, seen in the container at `target`. */
export interface ImageMount {
  source: string;
  target: string;
  /** Default: true. */
  readOnly?: boolean;
}

/**
 * What stands for a container image: a process of this machine in a mount namespace of its own, whose root holds the
 * machine's /usr and /lib read-only, a fresh /etc, /tmp, /proc and /dev, and the mounts given here.
 */
export interface Image {
  /** ENTRYPOINT of the Dockerfile. */
  command: readonly string[];
  /** CMD of the Dockerfile. */
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** WORKDIR; "/" when absent. */
  workingDir?: string;
  /** USER as `uid` or `uid:gid`, numbers only; 0:0 when absent. */
  user?: string;
  mounts?: readonly ImageMount[];
}

/** Image name as pod specs write it (`tidegate/dataplane:dev`) → what runs for it. */
export type ImageTable = Readonly<Record<string, Image>>;

/**
 * An image that runs JavaScript or TypeScript on the Node this process runs on: `folder` appears at `target`
 * (default /app), and `arguments` are Node's.
 */
export function nodeImage(options: {
  folder: string;
  arguments: readonly string[];
  target?: string;
  env?: Readonly<Record<string, string>>;
  user?: string;
  mounts?: readonly ImageMount[];
}): Image {
  const target = options.target ?? '/app';
  return {
    command: ['node', ...options.arguments],
    workingDir: target,
    mounts: [
      { source: process.execPath, target: '/usr/local/bin/node' },
      { source: options.folder, target },
      ...(options.mounts ?? []),
    ],
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.user === undefined ? {} : { user: options.user }),
  };
}

/** The run's image table: the kubelets read it at each container start, so images may be added while the cluster runs. */
export function imageFile(runDirectory: string): string {
  return join(runDirectory, 'images.json');
}

export function readImages(runDirectory: string): ImageTable {
  return JSON.parse(readFileSync(imageFile(runDirectory), 'utf8')) as ImageTable;
}

export function writeImages(runDirectory: string, images: ImageTable): void {
  const file = imageFile(runDirectory);
  writeFileSync(`${file}.new`, JSON.stringify(images, null, 2));
  renameSync(`${file}.new`, file);
}
