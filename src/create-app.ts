import type { IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { serveApiDescription } from './api-description.js';
import { AppModule, type AppOptions } from './app.module.js';
import { registerBodyParsers } from './common/http/body-parsers.js';
import { refuseConnection } from './common/http/refuse-connection.js';
import { requestId } from './common/http/request-id.js';
import type { StructuredLogger } from './common/logging/structured-logger.js';
import { sendProblem } from './common/problem/send-problem.js';

/** The application, not yet listening: HTTP layer and modules put together. */
export async function createApp(options: AppOptions, logger: StructuredLogger): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: options.settings.BODY_LIMIT,
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
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('X-Request-Id', request.id);
    done();
  });
  if (options.settings.ROLE !== 'worker') serveApiDescription(app);
  return app;
}
