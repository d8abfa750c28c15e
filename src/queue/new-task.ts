import type { ResolvedQueueOptions, TaskPriority } from './queue-options.js';
import { newTaskId } from './task-id.js';

/** What a caller hands to `QueueService.enqueue`. */
export interface NewTask {
  readonly appName: string;
  readonly workflowName: string;
  /** What the handler needs; any JSON object. */
  readonly workflowSpec: Record<string, unknown>;
  /** Facts for readers; `user` becomes the actor of the ledger's first entry. */
  readonly metadata?: Record<string, unknown>;
  /** A promise of when to start, not a rank: `medium` unless given. */
  readonly priority?: TaskPriority;
  /** A promise of its own, in seconds after the task may run; wins over the priority's. */
  readonly startWithinSeconds?: number;
  /** Not before this time. */
  readonly runAt?: Date;
  /** Not before so many seconds from now; `runAt` wins. */
  readonly delaySeconds?: number;
  /** Failed attempts after which the task is `failed`; 1 (no retry) unless given. */
  readonly maxAttempts?: number;
  /** A limit for one run of the task. */
  readonly timeoutSeconds?: number;
  readonly goldenPath?: string;
  readonly requestId?: string;
  readonly concurrency?: Concurrency;
  /** Stores the task once, however often it is handed in under this key. */
  readonly idempotency?: Idempotency;
}

/** Who says which request this is. Kept for `QueueOptions.idempotencyHours`. */
export interface Idempotency {
  /** A key is one caller's own. */
  readonly principal: string;
  /** 1 to 255 characters. */
  readonly key: string;
  /** Of all that makes the request; another one under the same key is a conflict. */
  readonly bodyHash: string;
  /** Kept with the key and given back with a replay; any JSON object. */
  readonly facts?: Record<string, unknown>;
}

/** Tasks of one key do not all run at once. */
export interface Concurrency {
  readonly key: string;
  /** How many tasks of the key may run, over all instances; 1 unless given. The last submission's word counts. */
  readonly limit?: number;
  /**
   * What becomes of the task where all slots are taken: it waits in line (`queue`, unless given), or is refused with
   * KeyBusyError (`reject`). `replace`: the older tasks of the key make way; see `QueueService.enqueue`.
   */
  readonly whenFull?: 'queue' | 'replace' | 'reject';
}

/** A task ready to be stored. */
export interface EncodedTask {
  readonly taskId: string;
  /** One element of the INSERT's `jsonb` array: an array of values, as JSON text (their order as in `enqueue.sql.ts`). */
  readonly json: string;
  readonly concurrencyKey?: string;
  readonly idempotency?: Idempotency;
}

/** A task ready to be stored unless its key is taken. */
export type KeyedTask = EncodedTask & { readonly idempotency: Idempotency };

/** What no database could store, of a new task or of a word on one: the caller's mistake, found before it gets there. */
export class InvalidTaskError extends Error {
  constructor(
    readonly field: string,
    problem: string,
  ) {
    super(`${field} ${problem}`);
    this.name = 'InvalidTaskError';
  }
}

const MAX_NAME = 255;
const MAX_LIMIT = 10_000;

/** Gives a new task its id and its row; throws InvalidTaskError where PostgreSQL would refuse it. */
export function encodeTask(task: NewTask, options: Pick<ResolvedQueueOptions, 'promiseSeconds'>): EncodedTask {
  const priority = task.priority ?? 'medium';
  const maxAttempts = task.maxAttempts ?? 1;
  checkName('appName', task.appName);
  checkName('workflowName', task.workflowName);
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1) {
    throw new InvalidTaskError('maxAttempts', 'must be a whole number from 1');
  }
  if (task.runAt !== undefined && Number.isNaN(task.runAt.getTime())) {
    throw new InvalidTaskError('runAt', 'is no valid time');
  }
  const { key, limit = 1, whenFull } = task.concurrency ?? {};
  if (key !== undefined) checkName('concurrency.key', key);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidTaskError('concurrency.limit', `must be a whole number from 1 to ${MAX_LIMIT}`);
  }
  // In the order of the statement.
  const row = {
    task_id: newTaskId(),
    app_name: task.appName,
    workflow_name: task.workflowName,
    workflow_spec: task.workflowSpec,
    metadata: task.metadata ?? {},
    priority,
    promise_seconds: task.startWithinSeconds ?? options.promiseSeconds[priority],
    run_at: task.runAt?.toISOString() ?? null,
    delay_seconds: task.delaySeconds ?? null,
    max_attempts: maxAttempts,
    timeout_seconds: task.timeoutSeconds ?? null,
    golden_path: task.goldenPath ?? null,
    request_id: task.requestId ?? null,
    concurrency_key: key ?? null,
    concurrency_limit: key === undefined ? null : limit,
    concurrency_replaces: key === undefined ? null : whenFull === 'replace',
  };
  const json = toJson(Object.values(row));
  if (json.includes('\\u') && UNSTORABLE.test(json)) {
    const column = Object.entries(row).find(([, value]) => UNSTORABLE.test(JSON.stringify(value)))?.[0] ?? 'task';
    const field = column.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    throw new InvalidTaskError(field, 'holds a NUL character or half of a surrogate pair, which jsonb cannot store');
  }
  if (task.idempotency) checkIdempotency(task.idempotency);
  return {
    taskId: row.task_id,
    json,
    ...(key !== undefined && { concurrencyKey: key }),
    ...(task.idempotency && { idempotency: task.idempotency }),
  };
}

function checkIdempotency({ principal, key, bodyHash, facts }: Idempotency): void {
  checkName('idempotency.principal', principal);
  checkName('idempotency.key', key);
  checkName('idempotency.bodyHash', bodyHash);
  if (UNSTORABLE.test(toJson([principal, key, bodyHash, facts]))) {
    throw new InvalidTaskError('idempotency', 'holds a NUL character or half of a surrogate pair');
  }
}

function toJson(row: readonly unknown[]): string {
  try {
    return JSON.stringify(row);
  } catch (error) {
    throw new InvalidTaskError('workflowSpec or metadata', `cannot be written as JSON: ${(error as Error).message}`);
  }
}

function checkName(field: string, value: string): void {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_NAME) {
    throw new InvalidTaskError(field, `must have 1 to ${MAX_NAME} characters`);
  }
}

/** Refuses a text that PostgreSQL cannot store, or that is too long. */
export function checkText(field: string, text: string, limit: number): void {
  if (typeof text !== 'string' || text.length > limit) {
    throw new InvalidTaskError(field, `must be text of at most ${limit} characters`);
  }
  if (text.includes('\0') || !text.isWellFormed()) {
    throw new InvalidTaskError(field, 'holds a NUL character or half of a surrogate pair, which cannot be stored');
  }
}

/** JSON.stringify writes NUL and lone surrogates as escapes, and nothing else that begins so. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i;
