/** What the aggregation layer and kubectl ask an API server first: which groups, versions and resources there are. Pure. */
import { GROUP, type MetricValue, POD_METRICS, VERSION } from './values.ts';

const groupVersion = { groupVersion: `${GROUP}/${VERSION}`, version: VERSION };

const group = { name: GROUP, versions: [groupVersion], preferredVersion: groupVersion };

export const apiGroupList = { kind: 'APIGroupList', apiVersion: 'v1', groups: [group] };
export const apiGroup = { kind: 'APIGroup', apiVersion: 'v1', ...group };
export const apiResourceList = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: groupVersion.groupVersion,
  resources: Object.keys(POD_METRICS).map((metric) => ({
    name: `pods/${metric}`,
    singularName: '',
    namespaced: true,
    kind: 'MetricValueList',
    verbs: ['get'],
  })),
};

/**
 * Aggregated discovery (KEP-3352): what the API server's aggregator asks `/apis` for. It must get this or a 406; the plain list
 * in its place counts as a broken answer, and the HPA controller then never learns that the group has a version.
 */
export const AGGREGATED_DISCOVERY = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const responseKind = { group: GROUP, version: VERSION, kind: 'MetricValueList' };
export const apiGroupDiscoveryList = {
  kind: 'APIGroupDiscoveryList',
  apiVersion: 'apidiscovery.k8s.io/v2',
  metadata: {},
  items: [
    {
      metadata: { name: GROUP },
      versions: [
        {
          version: VERSION,
          freshness: 'Current',
          resources: [
            {
              resource: 'pods',
              scope: 'Namespaced',
              singularResource: '',
              verbs: [],
              subresources: Object.keys(POD_METRICS).map((metric) => ({
                subresource: metric,
                responseKind,
                verbs: ['get'],
              })),
            },
          ],
        },
      ],
    },
  ],
};

/** Nothing is described, on purpose: without the documents the API server would ask, and complain, for ever. */
export const openApiV2 = { swagger: '2.0', info: { title: GROUP, version: VERSION }, paths: {} };
export const openApiV3 = { paths: {} };

export function metricValueList(items: readonly MetricValue[]) {
  return { kind: 'MetricValueList', apiVersion: groupVersion.groupVersion, metadata: {}, items };
}

export interface FailureStatus {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: string;
  readonly code: number;
}

/** `metav1.Status` */
export function failureStatus(code: number, reason: string, message: string): FailureStatus {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}
