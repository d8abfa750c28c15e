import type { IncomingMessage } from 'node:http';
import rateLimit from '@fastify/rate-limit';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { serveApiDescription } from './api-description.js';
import { AppModule, type AppOptions } from './app.module.js';
import { RefusedRequests } from './auth/refused-requests.js';
import { registerBodyParsers } from './common/http/body-parsers.js';
import { refuseConnection } from './common/http/refuse-connection.js';
import { requestId } from './common/http/request-id.js';
import { setSecurityHeaders } from './common/http/security-headers.js';
import type { StructuredLogger } from './common/logging/structured-logger.js';
import { sendProblem } from './common/problem/send-problem.js';

const HEADERS_TIMEOUT_MS = 20_000;

/** The application, not yet listening: HTTP layer and modules put together. */
export async function createApp(options: AppOptions, logger: StructuredLogger): Promise<NestFastifyApplication> {
  const { settings, tls } = options;
  const limits = connectionLimits(settings.REQUEST_TIMEOUT_SECONDS * 1000);
  const adapter = new FastifyAdapter({
    ...(tls ? { https: { ...tls, ...limits } } : { http: limits }),
    requestTimeout: limits.requestTimeout,
    // Without it X-Forwarded-For is only what a caller says of itself.
    trustProxy: settings.TRUSTED_PROXIES === '' ? false : settings.TRUSTED_PROXIES.split(/[\s,]+/),
    bodyLimit: settings.BODY_LIMIT,
    genReqId: (request: IncomingMessage) => requestId(request),
    requestIdHeader: false,
    // Errors found before there is a route, such as a malformed path.
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(error, request, reply),
    clientErrorHandler: refuseConnection,
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(options), adapter, {
    logger,
    bodyParser: false,
    abortOnError: false,
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  registerBodyParsers(fastify);
  await setSecurityHeaders(fastify, tls !== undefined);
  await fastify.register(rateLimit, { global: false, cache: 10_000 });
  if (settings.CORS_ORIGINS !== '') allowOrigins(app, settings.CORS_ORIGINS);
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('X-Request-Id', request.id);
    done();
  });
  refuseEarly(fastify, app.get(RefusedRequests));
  if (settings.ROLE !== 'worker') serveApiDescription(app);
  return app;
}

/** Before a body is read, and before there is a guard: it would be read for whoever has been refused all the time. */
function refuseEarly(fastify: FastifyInstance, refused: RefusedRequests): void {
  fastify.addHook('onRequest', async (request, reply) => {
    try {
      await refused.lookAhead(request);
    } catch (error) {
      sendProblem(error, request, reply);
      return reply;
    }
  });
}

/**
 * Whoever sends slowly gets time to finish, but no more: connections that never come to a whole request would pile up.
 * Node looks at all of them once in every interval.
 */
function connectionLimits(requestTimeout: number) {
  return {
    requestTimeout,
    headersTimeout: Math.min(requestTimeout, HEADERS_TIMEOUT_MS),
    connectionsCheckingInterval: Math.min(requestTimeout / 2, 5_000),
  };
}

/** Only calls with a key: there are no cookies that a browser could send by itself. */
function allowOrigins(app: NestFastifyApplication, origins: string): void {
  app.enableCors({
    origin: origins.split(/[\s,]+/),
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'X-Request-Id'],
    exposedHeaders: ['Location', 'Retry-After', 'X-Request-Id'],
    maxAge: 600,
  });
}
