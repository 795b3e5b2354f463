/**
 * custom.metrics.k8s.io as an aggregated API: the HPA asks the API server, which asks this. Everything but health is
 * authenticated and authorized, and nothing can be changed here.
 */
import { constants } from 'node:crypto';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { ApiServer } from '../api-server.ts';
import { isApiStatus } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import { ControllerError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { FleetMember } from '../push/fleet.ts';
import { Access, type Attributes } from './access.ts';
import {
  AGGREGATED_DISCOVERY,
  apiGroup,
  apiGroupDiscoveryList,
  apiGroupList,
  apiResourceList,
  failureStatus,
  metricValueList,
  openApiV2,
  openApiV3,
} from './documents.ts';
import { PodNames } from './pods.ts';
import { type PeerIdentity, type User, userOfHeaders } from './request-header.ts';
import { GROUP, metricValues, VERSION } from './values.ts';

/** Certificate and key, PEM, that may be renewed. */
export interface ServingCertificate {
  readonly current: { readonly certificate: Buffer; readonly privateKey: Buffer };
  onChange(listener: () => void): void;
}

export interface MetricsApiOptions {
  readonly host: string;
  readonly port: number;
  readonly certificate: ServingCertificate;
  readonly api: ApiServer;
  /** Where the data planes' pods are. */
  readonly namespace: string;
  readonly members: () => readonly FleetMember[];
  readonly clock: Clock;
  readonly log: Log;
}

const ROOT = `/apis/${GROUP}/${VERSION}`;
const METRIC_ROUTE = `${ROOT}/namespaces/:namespace/pods/:name/:metric`;
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/livez', '/readyz']);

interface MetricParams {
  readonly namespace: string;
  /** `*`: of all that the label selector means. */
  readonly name: string;
  readonly metric: string;
}

export class MetricsApi {
  readonly #options: MetricsApiOptions;
  readonly #access: Access;
  readonly #pods: PodNames;
  readonly #server: FastifyInstance<Server>;
  #authority: string | null = null;

  constructor(options: MetricsApiOptions) {
    this.#options = options;
    const { api, clock, log } = options;
    this.#pods = new PodNames({ api, clock, log });
    this.#access = new Access({
      api,
      group: GROUP,
      version: VERSION,
      clock,
      log,
      onConfig: ({ authority }) => {
        this.#authority = authority;
        this.#secure();
      },
    });
    this.#server = fastify<Server>({
      logger: false,
      bodyLimit: 1024,
      requestTimeout: 15_000,
      connectionTimeout: 60_000,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: 512 },
      https: {
        ...this.#context(),
        minVersion: 'TLSv1.2',
        requestCert: true,
        // Callers with a token have no certificate; whose certificate counts is decided per request.
        rejectUnauthorized: false,
      },
    });
    options.certificate.onChange(() => this.#secure());
    this.#routes();
  }

  /** Throws ControllerError CTL_LISTEN. Resolves with the port. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await this.#access.start();
    try {
      await this.#server.listen({ host, port });
    } catch (cause) {
      throw new ControllerError('CTL_LISTEN', `can't listen on ${host}:${port}`, { cause });
    }
    const address = this.#server.server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async stop(): Promise<void> {
    this.#access.stop();
    await this.#server.close();
  }

  #context() {
    const { certificate, privateKey } = this.#options.certificate.current;
    return {
      cert: certificate,
      key: privateKey,
      // Exactly this authority decides `authorized`. Without it an empty list: no certificate is valid, not even a public one.
      ca: this.#authority === null ? [] : [this.#authority],
      // A resumed session would be authorized by what was true when it began.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  #secure(): void {
    this.#server.server.setSecureContext(this.#context());
  }

  #routes(): void {
    const server = this.#server;
    server.addHook('onRequest', (request, reply) => this.#guard(request, reply));
    for (const path of OPEN_PATHS) server.get(path, async () => 'ok');
    server.get('/openapi/v2', async () => openApiV2);
    server.get('/openapi/v3', async () => openApiV3);
    server.get('/apis', async (request, reply) => {
      const form = discoveryForm(request.headers.accept);
      if (form === 'plain') return apiGroupList;
      if (form === null) return fail(reply, 406, 'NotAcceptable', 'only version v2 of aggregated discovery is served');
      return reply.type(AGGREGATED_DISCOVERY).serializer(JSON.stringify).send(apiGroupDiscoveryList);
    });
    server.get(`/apis/${GROUP}`, async () => apiGroup);
    server.get(ROOT, async () => apiResourceList);
    server.get(METRIC_ROUTE, (request, reply) => this.#metric(request, reply));
    server.setNotFoundHandler((_request, reply) =>
      fail(reply, 404, 'NotFound', 'the server could not find the requested resource'),
    );
    server.setErrorHandler((error, _request, reply) => {
      this.#options.log.error({ error: describeError(error) }, 'a metrics request failed');
      return fail(reply, 500, 'InternalError', 'the request could not be answered');
    });
  }

  /** Answers by itself where the caller is unknown or may not. */
  async #guard(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    if (OPEN_PATHS.has(request.routeOptions.url ?? '')) return undefined;
    try {
      const user = await this.#userOf(request);
      if (user === null) return fail(reply, 401, 'Unauthorized', 'Unauthorized');
      if (await this.#access.allowed(user, attributesOf(request))) return undefined;
      return fail(reply, 403, 'Forbidden', `user ${JSON.stringify(user.name)} may not get this`);
    } catch (error) {
      this.#options.log.warn({ error: describeError(error) }, 'a caller could not be checked');
      return fail(reply, 503, 'ServiceUnavailable', 'who calls, or whether they may, could not be checked');
    }
  }

  async #userOf(request: FastifyRequest): Promise<User | null> {
    const { config } = this.#access;
    if (config !== null) {
      const user = userOfHeaders(config, identityOf(request.raw.socket as TLSSocket), request.raw.headersDistinct);
      if (user !== null) return user;
    }
    const token = /^Bearer +([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    return token === undefined ? null : await this.#access.userOfToken(token);
  }

  async #metric(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { clock, members } = this.#options;
    const { namespace, name, metric } = request.params as MetricParams;
    const { labelSelector } = request.query as { labelSelector?: unknown };
    const now = { ms: clock.now(), date: clock.date() };
    const all = namespace === this.#options.namespace ? members() : [];
    const values = metricValues(metric, namespace, all, now);
    if (values === undefined)
      return fail(reply, 404, 'NotFound', `there is no metric ${JSON.stringify(metric)} of pods`);
    if (name !== '*') {
      const value = values.find(({ describedObject }) => describedObject.name === name);
      return value === undefined
        ? fail(reply, 404, 'NotFound', `pod ${JSON.stringify(name)} reports no ${metric}`)
        : metricValueList([value]);
    }
    let selected: ReadonlySet<string> | null;
    try {
      selected = await this.#pods.selected(namespace, typeof labelSelector === 'string' ? labelSelector : '');
    } catch (error) {
      if (isApiStatus(error, 400)) return fail(reply, 400, 'BadRequest', `labelSelector: ${describeError(error)}`);
      throw error;
    }
    const shown =
      selected === null ? values : values.filter(({ describedObject }) => selected.has(describedObject.name));
    return metricValueList(shown);
  }
}

function fail(reply: FastifyReply, code: number, reason: string, message: string): FastifyReply {
  return reply.code(code).send(failureStatus(code, reason, message));
}

/** Taken from what the router found, so that what is authorized is what is served. */
function attributesOf(request: FastifyRequest): Attributes {
  if (request.routeOptions.url !== METRIC_ROUTE) return { kind: 'path', path: request.url.split('?')[0] ?? '' };
  const { namespace, name, metric } = request.params as MetricParams;
  return { kind: 'resource', namespace, resource: 'pods', name, subresource: metric };
}

function identityOf(socket: TLSSocket): PeerIdentity {
  const certificate = socket.getPeerCertificate();
  const name = certificate?.subject?.CN;
  return { verified: socket.authorized === true, commonName: typeof name === 'string' ? name : '' };
}

/** What `/apis` is asked for; null: only for forms of aggregated discovery that are not served (an API server before 1.30). */
function discoveryForm(accept = '*/*'): 'aggregated' | 'plain' | null {
  const types = accept.split(',').map((type) => type.replaceAll(' ', '').split(';'));
  const aggregated = types.filter((parameters) => parameters.includes('as=APIGroupDiscoveryList'));
  if (aggregated.some((parameters) => parameters.includes('v=v2'))) return 'aggregated';
  return aggregated.length < types.length ? 'plain' : null;
}
