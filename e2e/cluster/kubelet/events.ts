import type { ApiClient } from './api.ts';
import type { Pod } from './types.ts';

/** Writes the Events `kubectl describe pod` shows; the same one again raises its count. */
export interface EventRecorder {
  record: (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

const remembered = 500;

export function createEventRecorder(api: ApiClient, nodeName: string): EventRecorder {
  const known = new Map<string, { name: string; count: number }>();
  let serial = Date.now();

  const record = (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void => {
    const namespace = pod.metadata.namespace ?? 'default';
    const key = `${pod.metadata.uid} ${reason} ${message}`;
    const now = new Date().toISOString();
    const collection = `/api/v1/namespaces/${namespace}/events`;
    const ignore = () => undefined;
    const earlier = known.get(key);
    if (earlier !== undefined) {
      earlier.count += 1;
      api
        .request('PATCH', `${collection}/${earlier.name}`, { count: earlier.count, lastTimestamp: now }, 'merge')
        .catch(ignore);
      return;
    }
    serial += 1;
    const name = `${pod.metadata.name}.${serial.toString(16)}`;
    known.set(key, { name, count: 1 });
    const oldest = known.keys().next();
    if (known.size > remembered && oldest.done !== true) known.delete(oldest.value);
    api
      .request('POST', collection, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, namespace, uid: pod.metadata.uid },
        type,
        reason,
        message: message.slice(0, 1_000),
        count: 1,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component: 'kubelet', host: nodeName },
        reportingComponent: 'kubelet',
        reportingInstance: nodeName,
      })
      .catch(ignore);
  };
  return { record };
}
