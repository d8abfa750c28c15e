/** What an answer with an error code means to the one who gets it. `docs/errors.md` is tested against this registry. */
export interface ErrorCodeInfo {
  /** The HTTP status of every answer with this code. */
  readonly status: number;
  /** The same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
  /** What the caller should do. */
  readonly action: string;
}

/**
 * The only list of error codes. A code is part of the public API: clients branch on it, so it is never renamed.
 */
const registry = {
  // The body as text
  malformed_yaml: {
    status: 400,
    title: 'The document is not well-formed YAML',
    action: 'Correct the lines named in errors[] and send the document again.',
  },
  malformed_json: {
    status: 400,
    title: 'The document is not well-formed JSON',
    action: 'Correct the place named in errors[]; if the document is YAML, send it as application/yaml.',
  },
  invalid_encoding: {
    status: 400,
    title: 'The body is not UTF-8 text',
    action: 'Save the document as UTF-8 and send it again.',
  },
  bad_request: {
    status: 400,
    title: 'The request cannot be understood',
    action: 'Compare the request with the API description at /api/docs.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    action: 'Send the request again; if this happens often, check the connection.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    action: 'Send a smaller document, or ask the operator to raise BODY_LIMIT.',
  },
  too_many_steps: {
    status: 413,
    title: 'The workflow has too many steps',
    action: 'Split the workflow into several, or ask the operator to raise MAX_STEPS.',
  },
  uri_too_long: {
    status: 414,
    title: 'The address is too long',
    action: 'Send parameters in the body instead of the address.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The content type is not supported',
    action: 'Send Content-Type: application/yaml (or text/yaml, application/x-yaml) or application/json.',
  },
  not_acceptable: {
    status: 406,
    title: 'No representation matches the Accept header',
    action: 'Leave the Accept header out, or ask for application/json.',
  },
  // The body and the parameters as data
  invalid_document: {
    status: 422,
    title: 'The document is not a valid submission',
    action: 'Correct every place named in errors[]; it lists all errors at once, up to a hundred.',
  },
  invalid_parameter: {
    status: 422,
    title: 'A parameter is not valid',
    action: 'Correct every parameter named in errors[].',
  },
  invalid_catalogue: {
    status: 422,
    title: 'The catalogue of golden paths is not valid',
    action: 'Correct every place named in errors[] and reload; until then the catalogue read before is in force.',
  },
  // Who asks
  unauthorized: {
    status: 401,
    title: 'The request carries no valid API key',
    action: 'Send Authorization: Bearer <key>; the admin token is where the log of the start says.',
  },
  forbidden: {
    status: 403,
    title: 'The API key may not do this',
    action: 'Use a key with the needed role, or ask an operator for it.',
  },
  role_required: {
    status: 403,
    title: 'None of the roles of the key allows this',
    action: 'Use a key with one of the roles that detail names, or ask an admin for it.',
  },
  out_of_scope: {
    status: 403,
    title: 'The key is for other applications',
    action: 'Use a key for this application, or ask an admin for it; detail names those that this key is for.',
  },
  inline_steps_forbidden: {
    status: 403,
    title: 'The document may not bring its own steps',
    action:
      'Take workflow: or workflows: out of the document and name a golden path, or use a key with the role author.',
  },
  // What is asked for
  not_found: {
    status: 404,
    title: 'There is nothing at this address',
    action: 'Check the method and the path against /api/docs.',
  },
  task_not_found: {
    status: 404,
    title: 'There is no such task',
    action: 'Check the task id.',
  },
  job_not_found: {
    status: 404,
    title: 'There is no such job',
    action: 'See GET /api/queue/jobs for those there are.',
  },
  instance_not_found: {
    status: 404,
    title: 'There is no such living instance',
    action: 'See GET /api/queue/instances for the ids; an instance gets a new one with each start.',
  },
  ledger_not_sealed: {
    status: 404,
    title: 'The ledger has no seal yet',
    action: 'Ask again in some seconds; an instance with workers must be running.',
  },
  events_removed: {
    status: 410,
    title: 'Events behind that place are not kept any more',
    action:
      'Go on with the oldest event that is left, as errors[] says, and read what you missed from the tasks themselves.',
  },
  golden_path_not_found: {
    status: 404,
    title: 'There is no such golden path',
    action: 'See GET /api/golden-paths for the names.',
  },
  schedule_not_found: {
    status: 404,
    title: 'There is no such schedule',
    action: 'See GET /api/schedules for the names.',
  },
  webhook_not_found: {
    status: 404,
    title: 'There is no such webhook',
    action: 'See GET /api/webhooks for the ids.',
  },
  api_key_not_found: {
    status: 404,
    title: 'There is no such API key',
    action: 'See GET /api/api-keys for the ids.',
  },
  delivery_not_found: {
    status: 404,
    title: 'There is no such delivery',
    action: 'See GET /api/webhooks/{id}/deliveries; they are kept for 30 days.',
  },
  callback_not_found: {
    status: 404,
    title: 'The task has no callback',
    action: 'Check the task id, and that it was submitted with callback_url.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    action: 'Use one of the methods the Allow header names.',
  },
  illegal_transition: {
    status: 409,
    title: 'The task is in a state that does not allow this',
    action: 'See detail for the state and for what can be done in it.',
  },
  concurrency_key_busy: {
    status: 409,
    title: 'Other tasks of the concurrency key run',
    action: 'Wait until the tasks in detail have ended, or cancel them, then send the request again.',
  },
  idempotency_key_reused: {
    status: 409,
    title: 'The Idempotency-Key was used for another request',
    action: 'Use a new key for a new request; to repeat one, send the same address and body again.',
  },
  conflict: {
    status: 409,
    title: 'The request conflicts with the present state',
    action: 'Read the resource again and repeat the request if it still applies.',
  },
  // The service itself
  too_many_requests: {
    status: 429,
    title: 'Too many requests',
    action: 'Wait as long as Retry-After says, then send the request again.',
  },
  app_queue_full: {
    status: 429,
    title: 'Too many tasks of this application wait',
    action: 'Wait as long as Retry-After says, then send the request again; operators: see MAX_PENDING_PER_APP.',
  },
  queue_full: {
    status: 503,
    title: 'Too many tasks wait',
    action: 'Wait as long as Retry-After says, then send the request again; operators: see QUEUE_CAPACITY.',
  },
  draining: {
    status: 503,
    title: 'This instance is shutting down',
    action: 'Send the request again; another instance will answer.',
  },
  identity_provider_unavailable: {
    status: 503,
    title: 'Tokens of the identity provider cannot be checked now',
    action: 'Send the request again later, or use an API key; operators: see OIDC_ISSUER and the log.',
  },
  database_unavailable: {
    status: 503,
    title: 'The database cannot be reached',
    action: 'Wait as long as Retry-After says, then send the request again; operators: see GET /ready.',
  },
  service_unavailable: {
    status: 503,
    title: 'The service cannot answer now',
    action: 'Wait a moment, then send the request again.',
  },
  internal_error: {
    status: 500,
    title: 'The service failed',
    action: 'Report the request_id to the operator: the log has the cause under it.',
  },
} as const satisfies Record<string, ErrorCodeInfo>;

export type ErrorCode = keyof typeof registry;

export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorCodeInfo>> = registry;

/** For answers whose cause is known by its status only; statuses without a code of their own fall to their class. */
export function codeForStatus(status: number): ErrorCode {
  const known = CODE_BY_STATUS[status];
  if (known !== undefined) return known;
  return status >= 400 && status < 500 ? 'bad_request' : 'internal_error';
}

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  406: 'not_acceptable',
  408: 'request_timeout',
  409: 'conflict',
  413: 'body_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  422: 'invalid_parameter',
  429: 'too_many_requests',
  503: 'service_unavailable',
};
