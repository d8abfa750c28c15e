import { Problem } from '../common/problem/problem.js';
import { AppQueueFullError, QueueFullError } from '../queue/backpressure.js';
import { QueueBusyError } from '../queue/enqueue-batcher.js';
import { IdempotencyConflictError } from '../queue/idempotency.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { KeyBusyError, QueueDrainingError } from '../queue/queue-errors.js';

/** What a submission is answered with that the queue has refused; any other error as it is. */
export function queueProblem(error: unknown): unknown {
  if (error instanceof InvalidTaskError) return new Problem('invalid_document', error.message);
  if (error instanceof IdempotencyConflictError) return new Problem('idempotency_key_reused', error.message);
  if (error instanceof KeyBusyError) return new Problem('concurrency_key_busy', error.message);
  if (error instanceof QueueFullError) return later('queue_full', error, error.retryAfterSeconds);
  if (error instanceof AppQueueFullError) return later('app_queue_full', error, error.retryAfterSeconds);
  if (error instanceof QueueDrainingError) return later('draining', error, 5);
  if (error instanceof QueueBusyError) return later('service_unavailable', error, 1);
  return error;
}

function later(
  code: 'queue_full' | 'app_queue_full' | 'draining' | 'service_unavailable',
  { message }: Error,
  seconds: number,
): Problem {
  return new Problem(code, message, { headers: { 'Retry-After': String(seconds) } });
}
