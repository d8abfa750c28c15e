import { Logger } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Problem } from './problem.js';
import { toProblem } from './to-problem.js';

const logger = new Logger('Http');

/** Answers a request with what was thrown while it was handled, unless it was answered already. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toProblem(error);
  log(error, problem, request);
  // A stream may have begun, or the handler may have thrown after it answered: what is sent cannot be taken back.
  if (reply.sent || reply.raw.headersSent) return;
  void reply
    .status(problem.status)
    .headers(problem.headers)
    .header('X-Request-Id', request.id)
    .header('Content-Type', 'application/problem+json; charset=utf-8')
    // As text: a serializer or a schema of the route is made for its good answers.
    .send(JSON.stringify(problem.toBody(request.id)));
}

function log(error: unknown, problem: Problem, request: FastifyRequest): void {
  if (problem.status < 500) return;
  const where = `${request.method} ${request.routeOptions?.url ?? 'unknown route'} request_id=${request.id}`;
  if (problem.code === 'internal_error') {
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error(`${where}: ${describe(error)}`, stack);
  } else {
    logger.warn(`${where}: ${problem.code}: ${describe(problem.cause ?? error)}`);
  }
}

function describe(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  return typeof error === 'string' ? error : `thrown value of type ${typeof error}`;
}
