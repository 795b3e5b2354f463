import type { Condition, Container, ContainerStatus, Pod, PodStatus } from './types.ts';

/** What the kubelet knows of a pod when it writes its status. */
export interface PodState {
  podAddress: string | undefined;
  nodeAddress: string;
  startTime: string;
  initialized: boolean;
  initContainers: readonly ContainerStatus[];
  containers: readonly ContainerStatus[];
  /** True when no container will run again, because the pod is being deleted. */
  stopped: boolean;
}

/** The pod's phase by the rules of the pod life cycle. */
export function podPhase(pod: Pod, state: PodState): NonNullable<PodStatus['phase']> {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const failedInit = state.initContainers.some(
    ({ state: { terminated } }) =>
      terminated !== undefined && terminated.exitCode !== 0 && (policy === 'Never' || state.stopped),
  );
  if (failedInit) return 'Failed';
  const ended = state.containers.filter(({ state: { terminated } }) => terminated !== undefined);
  const allEnded = state.containers.length > 0 && ended.length === state.containers.length;
  if (allEnded && (state.stopped || policy !== 'Always')) {
    const failed = ended.some(({ state: { terminated } }) => terminated?.exitCode !== 0);
    // With OnFailure a failed container is only waiting for its next start.
    if (!failed) return 'Succeeded';
    return policy === 'OnFailure' && !state.stopped ? 'Running' : 'Failed';
  }
  const started = state.containers.some(
    ({ state: { running, terminated }, restartCount }) => running ?? terminated ?? restartCount > 0,
  );
  return state.initialized && started ? 'Running' : 'Pending';
}

/** The whole status as a kubelet writes it. Conditions keep their transition time while their status stays. */
export function podStatus(pod: Pod, state: PodState, now: string): PodStatus {
  const phase = podPhase(pod, state);
  const done = phase === 'Succeeded' || phase === 'Failed';
  const unready = state.containers.filter(({ ready }) => !ready).map(({ name }) => name);
  const containersReady = !done && state.containers.length > 0 && unready.length === 0;
  const notReady = done
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const missingGate = (pod.spec.readinessGates ?? []).find(
    ({ conditionType }) => pod.status?.conditions?.find(({ type }) => type === conditionType)?.status !== 'True',
  );
  const ready = containersReady && missingGate === undefined;
  const conditions: Condition[] = [
    condition('PodReadyToStartContainers', state.podAddress !== undefined && !done),
    condition(
      'Initialized',
      state.initialized,
      done || state.initialized ? {} : { reason: 'ContainersNotInitialized' },
    ),
    condition('Ready', ready, ready ? {} : containersReady ? { reason: 'ReadinessGatesNotReady' } : notReady),
    condition('ContainersReady', containersReady, containersReady ? {} : notReady),
    condition('PodScheduled', true),
  ];
  const addresses =
    state.podAddress === undefined ? {} : { podIP: state.podAddress, podIPs: [{ ip: state.podAddress }] };
  return {
    phase,
    conditions: conditions.map((fresh) => keepTransitionTime(fresh, pod.status?.conditions, now)),
    hostIP: state.nodeAddress,
    hostIPs: [{ ip: state.nodeAddress }],
    ...addresses,
    startTime: state.startTime,
    ...(state.initContainers.length === 0 ? {} : { initContainerStatuses: [...state.initContainers] }),
    containerStatuses: [...state.containers],
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
  };
}

/** The status of a container that has not been started, and, without a reason to wait, never will be. */
export function unstartedStatus(container: Container, waitingReason: string | undefined): ContainerStatus {
  const finishedAt = new Date().toISOString();
  const never = { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'never started', finishedAt };
  return {
    name: container.name,
    image: container.image,
    imageID: '',
    ready: false,
    started: false,
    restartCount: 0,
    state: waitingReason === undefined ? { terminated: never } : { waiting: { reason: waitingReason } },
    lastState: {},
  };
}

function condition(type: string, value: boolean, why: { reason?: string; message?: string } = {}): Condition {
  return { type, status: value ? 'True' : 'False', ...why };
}

function keepTransitionTime(fresh: Condition, before: readonly Condition[] = [], now: string): Condition {
  const old = before.find(({ type }) => type === fresh.type);
  const lastTransitionTime = old?.status === fresh.status && old.lastTransitionTime ? old.lastTransitionTime : now;
  return { ...fresh, lastTransitionTime };
}
