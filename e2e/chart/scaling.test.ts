import { describe, expect, test } from 'vitest';
import { environment, type Manifest, pick, podTemplate, render } from './render.ts';

describe('scaling', () => {
  test('with the HPA the Deployment has no replicas, and the HPA wants 200 requests in flight a pod', async () => {
    const manifests = await render({});
    expect(pick(manifests, 'Deployment', 'tidegate-dataplane').spec).not.toHaveProperty('replicas');
    const { spec } = pick(manifests, 'HorizontalPodAutoscaler', 'tidegate-dataplane');
    expect(spec).toMatchObject({
      minReplicas: 2,
      maxReplicas: 10,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'tidegate-dataplane' },
      behavior: { scaleUp: { stabilizationWindowSeconds: 0 }, scaleDown: { stabilizationWindowSeconds: 300 } },
    });
    expect(spec.metrics).toEqual([
      {
        type: 'Pods',
        pods: {
          metric: { name: 'tidegate_requests_in_flight' },
          target: { type: 'AverageValue', averageValue: '200' },
        },
      },
    ]);
  });

  test('without the HPA the Deployment has them', async () => {
    const manifests = await render({ values: 'fixed-replicas-values.yaml' });
    expect(pick(manifests, 'Deployment', 'tidegate-dataplane').spec.replicas).toBe(3);
    expect(manifests.map(({ kind }) => kind)).not.toContain('HorizontalPodAutoscaler');
  });

  test('by CPU or by requests a second, with more metrics beside', async () => {
    const cpu = pick(await render({ values: 'cpu-values.yaml' }), 'HorizontalPodAutoscaler', 'tidegate-dataplane');
    expect(cpu.spec.metrics).toEqual([
      { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } } },
    ]);
    const manifests = await render({ values: 'existing-certificates-values.yaml' });
    const { metrics } = pick(manifests, 'HorizontalPodAutoscaler', 'tidegate-dataplane').spec;
    expect(metrics[0].pods).toEqual({
      metric: { name: 'tidegate_requests_per_second' },
      target: { type: 'AverageValue', averageValue: '2500' },
    });
    expect(metrics[1].resource.name).toBe('memory');
  });

  test('behaviour can be overridden field by field', async () => {
    const set = { 'autoscaling.behavior.scaleDown.stabilizationWindowSeconds': '0' };
    const { spec } = pick(await render({ set }), 'HorizontalPodAutoscaler', 'tidegate-dataplane');
    expect(spec.behavior.scaleDown).toMatchObject({ stabilizationWindowSeconds: 0, selectPolicy: 'Max' });
  });

  test('a pod that drains gets the time for it', async () => {
    const template = podTemplate(await render({ values: 'locked-down-values.yaml' }), 'dataplane');
    const env = environment(template, {});
    expect(env).toMatchObject({ TIDEGATE_DRAIN_GRACE_MS: '10000', TIDEGATE_DRAIN_DEADLINE_MS: '120000' });
    expect(template.spec.terminationGracePeriodSeconds).toBe(135);
  });

  test('workers follow the CPU limit, a number, or the node', async () => {
    const workers = async (set: Record<string, string>) => {
      const template = podTemplate(await render({ set }), 'dataplane');
      return template.spec.containers[0].env.find(({ name }: Manifest) => name === 'TIDEGATE_WORKERS');
    };
    expect((await workers({})).valueFrom.resourceFieldRef.resource).toBe('limits.cpu');
    expect((await workers({ 'dataplane.workers': '3' })).value).toBe('3');
    expect(await workers({ 'dataplane.resources.limits.cpu': 'null' })).toBeUndefined();
  });
});
