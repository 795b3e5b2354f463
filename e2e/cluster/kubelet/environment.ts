import { addresses } from '../network.ts';
import { expandReferences } from './expansion.ts';
import { fieldValue, type PodFacts, resourceValue } from './fields.ts';
import type { ObjectCache, ObjectKind } from './objects.ts';
import type { Container, EnvVar, Pod } from './types.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The environment of a container: the image's, then envFrom, then env. Throws when a required reference is missing. */
export async function buildEnvironment(
  pod: Pod,
  container: Container,
  imageEnv: Readonly<Record<string, string>>,
  facts: PodFacts,
  objects: ObjectCache,
): Promise<Record<string, string>> {
  const values: Record<string, string> = {
    PATH: defaultPath,
    HOME: '/',
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    KUBERNETES_SERVICE_HOST: addresses.kubernetesService,
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    ...imageEnv,
  };
  const data = (kind: ObjectKind, name: string, optional: boolean | undefined) =>
    readData(objects, pod, kind, name, optional);
  for (const from of container.envFrom ?? []) {
    const source = from.configMapRef ?? from.secretRef;
    if (source === undefined) continue;
    const kind = from.configMapRef === undefined ? 'secrets' : 'configmaps';
    for (const [key, value] of Object.entries(await data(kind, source.name, source.optional))) {
      values[`${from.prefix ?? ''}${key}`] = value.toString();
    }
  }
  for (const variable of container.env ?? []) {
    const value = await variableValue(variable);
    if (value !== undefined) values[variable.name] = value;
  }
  return values;

  async function variableValue(variable: EnvVar): Promise<string | undefined> {
    const from = variable.valueFrom;
    if (from === undefined) return expandReferences(variable.value ?? '', values);
    if (from.fieldRef !== undefined) return fieldValue(pod, from.fieldRef.fieldPath, facts);
    if (from.resourceFieldRef !== undefined) return resourceValue(pod, container, from.resourceFieldRef);
    const reference = from.configMapKeyRef ?? from.secretKeyRef;
    if (reference === undefined) throw new Error(`env ${variable.name}: unsupported valueFrom`);
    const kind = from.configMapKeyRef === undefined ? 'secrets' : 'configmaps';
    const found = (await data(kind, reference.name, reference.optional))[reference.key];
    if (found === undefined && reference.optional !== true) {
      throw new Error(`couldn't find key ${reference.key} in ${kind} ${pod.metadata.namespace}/${reference.name}`);
    }
    return found?.toString();
  }
}

/** The keys of a ConfigMap or Secret as bytes; empty when it is missing and optional. */
export async function readData(
  objects: ObjectCache,
  pod: Pod,
  kind: ObjectKind,
  name: string,
  optional: boolean | undefined,
): Promise<Record<string, Buffer>> {
  const object = await objects.get(kind, pod.metadata.namespace ?? 'default', name);
  if (object === undefined) {
    if (optional === true) return {};
    throw new Error(`${kind === 'configmaps' ? 'configmap' : 'secret'} "${name}" not found`);
  }
  const encoding = kind === 'secrets' ? 'base64' : 'utf8';
  return {
    ...Object.fromEntries(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)])),
    ...Object.fromEntries(
      Object.entries(object.binaryData ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]),
    ),
  };
}

/** Every ConfigMap and Secret a pod's environment and volumes refer to. */
export function referencedObjects(pod: Pod): { kind: ObjectKind; name: string }[] {
  const found = new Map<string, { kind: ObjectKind; name: string }>();
  const add = (kind: ObjectKind, name: string | undefined) => {
    if (name !== undefined) found.set(`${kind}/${name}`, { kind, name });
  };
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const from of container.envFrom ?? []) {
      add('configmaps', from.configMapRef?.name);
      add('secrets', from.secretRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('configmaps', valueFrom?.configMapKeyRef?.name);
      add('secrets', valueFrom?.secretKeyRef?.name);
    }
  }
  for (const volume of pod.spec.volumes ?? []) {
    add('configmaps', volume.configMap?.name);
    add('secrets', volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) {
      add('configmaps', source.configMap?.name);
      add('secrets', source.secret?.name);
    }
  }
  return [...found.values()];
}
