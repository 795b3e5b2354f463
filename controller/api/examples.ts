/** The examples of the field reference; a test validates each. */
import type { TidegateKind } from './problem.ts';

export const EXAMPLES: Readonly<Record<TidegateKind, string>> = {
  Route: `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata:
  name: orders
  namespace: shop
spec:
  hosts: [api.example.com]
  tls: { secret: api-example-com } # or { passthrough: true }; clientCertificate: { mode: required, ca: { secret: clients } }
  rules:
    - name: read-orders
      matches:
        - path: { prefix: /orders }
          methods: [GET, HEAD]
      backends:
        - name: orders
          weight: 90
        - name: orders-v2
          weight: 10
      rewrite:
        path: { prefix: /v1/orders }
      headers:
        request:
          set: [{ name: x-tenant, value: acme }]
      timeouts: { request: 10s }
    - name: moved
      matches:
        - path: { prefix: /old-orders }
      redirect:
        path: { prefix: /orders }
        status: 308
    - name: closed
      matches:
        - path: { regex: "/orders/[0-9]+/internal" }
      respond:
        status: 403
        body: not for you
`,
  Backend: `apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata:
  name: orders
  namespace: shop
spec:
  service: { name: orders, port: 8080 } # or hosts: [{ address: 10.0.0.7, port: 8080 }], or dns: { name: example.com, port: 80 }
  balancing: { algorithm: peakEwma, slowStart: 30s, preferZone: true } # or { algorithm: maglev, hash: { header: x-user } }
  timeouts: { connect: 1s }
  pool: { maxConnections: 128, idleTimeout: 30s }
  health:
    active: { http: { path: /healthz }, interval: 5s, timeout: 1s }
`,
  Policy: `apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata:
  name: browsers
  namespace: shop
spec:
  targetRefs:
    - kind: Route
      name: orders
      sectionName: read-orders # one rule; without it, every rule of the Route
  security: { requireHttps: {}, hsts: {}, maxBodyBytes: 10485760 }
  cors:
    allowOrigins: ["https://*.example.com"]
    allowMethods: [GET, HEAD]
    maxAge: 10m
  rateLimit:
    limits:
      - { name: per-client, limit: 100, window: 1m, burst: 20, key: [{ by: address }] }
      - { name: in-flight, algorithm: concurrency, limit: 50, scope: global } # of all pods together
  transform:
    response:
      remove: [server]
  shedding: { eventLoopDelay: 100ms, priority: high, priorityHeader: x-priority } # a client may lower its own
  retry: { attempts: 2, perTryTimeout: 2s, statuses: [503], hedge: { after: 500ms } }
  timeout: { request: 30s }
`,
};
