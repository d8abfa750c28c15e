import { HttpException } from '@nestjs/common';
import { isDatabaseUnavailable } from './database-errors.js';
import { codeForStatus, ERROR_CODES, type ErrorCode } from './error-codes.js';
import { Problem, type ProblemItem } from './problem.js';

/** Seconds after which a caller may try again when the database is away; a restart or failover takes about this long. */
const DATABASE_RETRY_AFTER = '5';

/** What Fastify throws, in the caller's words. Its own words name internals or repeat the input. */
const FASTIFY_ERRORS: Readonly<Record<string, { code: ErrorCode; detail: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large', detail: 'The body is larger than this service accepts.' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    detail: 'The content type of the body is missing or not supported here: send application/yaml or application/json.',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'malformed_json', detail: 'The body is empty, but is announced as JSON.' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'malformed_json', detail: 'The body is not valid JSON.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'bad_request',
    detail: 'The body is longer or shorter than its Content-Length says.',
  },
  FST_ERR_BAD_URL: { code: 'bad_request', detail: 'The address contains a malformed percent-encoding.' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'uri_too_long', detail: 'A part of the address is too long.' },
  FST_ERR_NOT_FOUND: { code: 'not_found', detail: 'There is nothing at this address.' },
};

/** Turns whatever was thrown into what may be shown. Nothing of an unexpected error gets into the answer. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  // Nest wraps Fastify's errors, which takes their code away.
  const known = fromFastify(error instanceof HttpException ? error.cause : error);
  if (known !== undefined) return known;
  // Before the status: Fastify gives every error a status sooner or later, drivers never mean one by it.
  if (isDatabaseUnavailable(error)) return databaseUnavailable(error);
  if (error instanceof HttpException) return fromHttpException(error);
  const status = error instanceof Error ? (error as { statusCode?: unknown }).statusCode : undefined;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    const code = codeForStatus(status);
    return new Problem(code, sentence(ERROR_CODES[code].title), { cause: error });
  }
  return internalError(error);
}

function fromFastify(error: unknown): Problem | undefined {
  if (!(error instanceof Error)) return undefined;
  const known = FASTIFY_ERRORS[(error as { code?: string }).code ?? ''];
  // JSON.parse's own error, with the status that the body parser gave it.
  const json = error.name === 'SyntaxError' && (error as { statusCode?: unknown }).statusCode === 400;
  const answer = json ? FASTIFY_ERRORS.FST_ERR_CTP_INVALID_JSON_BODY : known;
  return answer === undefined ? undefined : new Problem(answer.code, answer.detail, { cause: error });
}

export function databaseUnavailable(cause: unknown): Problem {
  return new Problem('database_unavailable', 'The database cannot be reached at the moment.', {
    headers: { 'Retry-After': DATABASE_RETRY_AFTER },
    cause,
  });
}

function internalError(cause: unknown): Problem {
  return new Problem('internal_error', 'The service failed on this request. The log has the cause.', { cause });
}

function fromHttpException(error: HttpException): Problem {
  const status = error.getStatus();
  // A 5xx with own words is still somebody's deliberate answer only where it has a code; all else is an accident.
  if (status >= 500 && status !== 503) return internalError(error);
  const messages = messagesOf(error);
  if (status === 400 && messages.length > 0) {
    // Nest's ValidationPipe: the input was understood, its values were not valid.
    const errors: ProblemItem[] = messages.map((message) => ({ message }));
    return new Problem('invalid_parameter', countOf(errors.length), { errors, cause: error });
  }
  return new Problem(codeForStatus(status), error.message || sentence(ERROR_CODES[codeForStatus(status)].title), {
    cause: error,
  });
}

function messagesOf(error: HttpException): string[] {
  const response = error.getResponse();
  const message = typeof response === 'object' ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(message) ? message.map(String) : [];
}

function countOf(count: number): string {
  return count === 1 ? 'One value is not valid.' : `${count} values are not valid.`;
}

function sentence(title: string): string {
  return `${title}.`;
}
