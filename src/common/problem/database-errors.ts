/**
 * SQLSTATEs that say "not now" rather than "never": the same request can succeed once the database is back.
 * 08: connection; 53: out of resources (connections, memory, disk); 57: an operator's hand (shutdown, crash, starting,
 * a statement cancelled by somebody or by its time limit); 58: the system under the database (input or output failed);
 * 25006: a standby, or a primary that was just demoted; 25P03, 25P04: a session ended by its time limit.
 */
const UNAVAILABLE_STATE = /^(08...|53...|57...|58...|25006|25P0[34])$/;

const UNAVAILABLE_SYSTEM_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** The words of `pg` and `pg-pool` for errors that carry no code. */
const UNAVAILABLE_MESSAGES = [
  /^Connection terminated/,
  /timeout exceeded when trying to connect/,
  /^Client has encountered a connection error and is not queryable/,
  /^Cannot use a pool after calling end on the pool/,
  /^Client was closed and is not queryable/,
];

/** How deep to look for the driver's error: TypeORM wraps once, `AggregateError` of a dual-stack connect once more. */
const MAX_DEPTH = 5;

/** Whether the error means that the database cannot be reached or cannot serve now. */
export function isDatabaseUnavailable(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > MAX_DEPTH) return false;
  // Some other service is away; its cause carries the same codes.
  if (error.message === 'fetch failed') return false;
  // Node's error of a request whose caller hung up before its end.
  if (error.message === 'aborted') return false;
  const { code, driverError, errors } = error as Error & { code?: unknown; driverError?: unknown; errors?: unknown };
  if (typeof code === 'string') {
    if (UNAVAILABLE_SYSTEM_CODES.has(code)) return isSocketError(error);
    if (UNAVAILABLE_STATE.test(code)) return true;
  }
  if (UNAVAILABLE_MESSAGES.some((pattern) => pattern.test(error.message))) return true;
  if (Array.isArray(errors) && errors.some((inner) => isDatabaseUnavailable(inner, depth + 1))) return true;
  return isDatabaseUnavailable(driverError, depth + 1) || isDatabaseUnavailable(error.cause, depth + 1);
}

/** A file or a pipe can be broken too; that is no trouble of the database. */
function isSocketError(error: Error): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined || ['connect', 'read', 'write', 'getaddrinfo'].includes(syscall);
}
