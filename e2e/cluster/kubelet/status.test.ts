import { expect, test } from 'vitest';
import { type PodState, podPhase, podStatus } from './status.ts';
import type { ContainerState, ContainerStatus, Pod } from './types.ts';

const now = '2026-01-02T00:00:00.000Z';
const before = '2026-01-01T00:00:00.000Z';

function container(state: ContainerState, extra: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    name: 'c',
    image: 'i',
    imageID: '',
    ready: false,
    started: false,
    restartCount: 0,
    state,
    lastState: {},
    ...extra,
  };
}
const running = container({ running: { startedAt: now } }, { ready: true, started: true });
const ended = (exitCode: number) => container({ terminated: { exitCode, reason: 'x', finishedAt: now } });

function podOf(restartPolicy: 'Always' | 'OnFailure' | 'Never', extra: Partial<Pod> = {}): Pod {
  return { metadata: { name: 'a', uid: 'u', resourceVersion: '1' }, spec: { restartPolicy, containers: [] }, ...extra };
}
function stateOf(containers: ContainerStatus[], extra: Partial<PodState> = {}): PodState {
  const addresses = { podAddress: '10.244.0.2', nodeAddress: '10.240.0.11' };
  return { ...addresses, startTime: now, initialized: true, initContainers: [], containers, stopped: false, ...extra };
}
const ready = (pod: Pod, state: PodState) =>
  podStatus(pod, state, now).conditions?.find(({ type }) => type === 'Ready');

test.each([
  ['waiting', 'Always', stateOf([container({ waiting: { reason: 'ContainerCreating' } })]), 'Pending'],
  ['running', 'Always', stateOf([running]), 'Running'],
  ['one of two running', 'Always', stateOf([running, container({ waiting: { reason: 'ErrImagePull' } })]), 'Running'],
  ['crashed and coming back', 'Always', stateOf([ended(1)]), 'Running'],
  [
    'back-off',
    'Always',
    stateOf([container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3 })]),
    'Running',
  ],
  ['job done', 'Never', stateOf([ended(0)]), 'Succeeded'],
  ['job failed', 'Never', stateOf([ended(1)]), 'Failed'],
  ['job failed, tried again', 'OnFailure', stateOf([ended(1)]), 'Running'],
  ['deleted, drained', 'Always', stateOf([ended(0)], { stopped: true }), 'Succeeded'],
  ['deleted, killed', 'Always', stateOf([ended(137)], { stopped: true }), 'Failed'],
  [
    'init failed for good',
    'Never',
    stateOf([container({})], { initialized: false, initContainers: [ended(1)] }),
    'Failed',
  ],
  [
    'init failed, tried again',
    'Always',
    stateOf([container({})], { initialized: false, initContainers: [ended(1)] }),
    'Pending',
  ],
] as const)('phase: %s', (_, policy, state, phase) => {
  expect(podPhase(podOf(policy), state)).toBe(phase);
});

test('Ready follows the containers and says which are not', () => {
  expect(ready(podOf('Always'), stateOf([running]))?.status).toBe('True');
  const unready = ready(podOf('Always'), stateOf([running, { ...running, name: 'd', ready: false }]));
  expect(unready).toMatchObject({
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [d]',
  });
});

test('a readiness gate holds Ready back until its condition is True', () => {
  const gated = (status: 'True' | 'False') =>
    podOf('Always', {
      spec: { containers: [], readinessGates: [{ conditionType: 'gate' }] },
      status: { conditions: [{ type: 'gate', status }] },
    });
  expect(ready(gated('False'), stateOf([running]))).toMatchObject({
    status: 'False',
    reason: 'ReadinessGatesNotReady',
  });
  expect(ready(gated('True'), stateOf([running]))?.status).toBe('True');
});

test('a condition keeps its transition time while its status stays', () => {
  const pod = podOf('Always', {
    status: {
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: before },
        { type: 'ContainersReady', status: 'False', lastTransitionTime: before },
      ],
    },
  });
  const { conditions } = podStatus(pod, stateOf([running]), now);
  expect(conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime).toBe(before);
  expect(conditions?.find(({ type }) => type === 'ContainersReady')?.lastTransitionTime).toBe(now);
});
