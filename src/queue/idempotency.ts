import type { Idempotency } from './new-task.js';
import type { NotedKey } from './store/idempotency-store.js';

export interface Enqueued {
  readonly taskId: string;
  /** The task was there before, under the same idempotency key. */
  readonly replayed: boolean;
  /** Of a replay: what the first request gave as `idempotency.facts`. */
  readonly facts?: Record<string, unknown>;
}

/** The key stands for another request of the same caller. */
export class IdempotencyConflictError extends Error {
  constructor(
    readonly key: string,
    readonly taskId: string,
  ) {
    super(`the idempotency key '${key}' was used for another request, which made ${taskId}`);
    this.name = 'IdempotencyConflictError';
  }
}

/** What a caller is told who has asked under this key; `taskId` is the task made for this call. */
export function answerOf(taskId: string | undefined, asked: Idempotency, noted: NotedKey): Enqueued {
  if (noted.taskId === taskId) return { taskId, replayed: false };
  if (noted.bodyHash !== asked.bodyHash) throw new IdempotencyConflictError(asked.key, noted.taskId);
  return { taskId: noted.taskId, replayed: true, ...(noted.facts ? { facts: noted.facts } : {}) };
}
