/** How an application sets the queue up; everything has a default. */
export interface QueueOptions {
  /** Tasks run at once by this instance; 0 for an instance that only enqueues and reads. Default 5. */
  readonly workers?: number;
  /**
   * Tasks taken ahead of free workers, for handlers that take milliseconds; 0 (none) unless given. They are this
   * instance's alone and stay `pending` until a worker begins them: one with an earlier `start_by` that comes later waits
   * behind them. All of them are in memory. Only when every instance on the database knows of prefetching.
   */
  readonly prefetch?: number;
  /** How long a claim lives without a heartbeat, in seconds. Default 30. */
  readonly leaseSeconds?: number;
  /** Lost leases a task may cost before it is given up with cause `crash_loop`. Default 3. */
  readonly maxCrashes?: number;
  /** How long `drain` waits for running tasks before it hands them back, in seconds. Default 30. */
  readonly shutdownGraceSeconds?: number;
  /** How long a cancelled run, or one whose time was up, may clean up, in seconds; 0: not at all. Default 60. */
  readonly cleanupSeconds?: number;
  /** The longest an idle instance goes without asking the database for work, in seconds. Default 1. */
  readonly pollSeconds?: number;
  /**
   * `transaction`: between the queue and PostgreSQL stands PgBouncer in transaction mode, or a pooler like it. Statements
   * go unnamed, and nobody listens: news of other instances is found by polling. Default `none`.
   */
  readonly pooler?: 'none' | 'transaction';
  /** Seconds between the time a task may run and the time it is promised to start, by priority. */
  readonly promiseSeconds?: Partial<Record<TaskPriority, number>>;
  /**
   * Tasks that may wait to be claimed before new ones are refused (QueueFullError). Default 100,000; Infinity for no
   * limit. What the queue itself sends round again, and what comes with `evenWhenFull`, is not asked. Each instance knows
   * how many wait to within `pollSeconds`: several together can go beyond by what they take in that time.
   */
  readonly capacity?: number;
  /** The same for the tasks of one application (AppQueueFullError); 0 (no limit) unless given. */
  readonly maxPendingPerApp?: number;
  /** For how long idempotency keys are kept. Default 24. */
  readonly idempotencyHours?: number;
  /**
   * For how many days a task is kept after its end, with its steps, output and labels; 0 (for ever) unless given. Dead letters
   * stay until somebody has dealt with them. One setting for all instances.
   */
  readonly taskRetentionDays?: number;
  /** For how many days the ledger is kept, in whole weeks; 0 (for ever) unless given. */
  readonly ledgerRetentionDays?: number;
  /** Shown in `queue_instances`. */
  readonly version?: string;
}

export const TASK_PRIORITIES = ['urgent', 'high', 'medium', 'low'] as const;
export type TaskPriority = (typeof TASK_PRIORITIES)[number];

/** Goes before everything that can have been waiting: urgent counts as ten years overdue. */
const URGENT_SECONDS = -10 * 365 * 86_400;

export type ResolvedQueueOptions = Required<Omit<QueueOptions, 'promiseSeconds'>> & {
  readonly promiseSeconds: Record<TaskPriority, number>;
};

export const QUEUE_OPTIONS = Symbol('QUEUE_OPTIONS');

export function resolveQueueOptions(options: QueueOptions): ResolvedQueueOptions {
  return {
    workers: options.workers ?? 5,
    prefetch: options.prefetch ?? 0,
    leaseSeconds: options.leaseSeconds ?? 30,
    maxCrashes: options.maxCrashes ?? 3,
    shutdownGraceSeconds: options.shutdownGraceSeconds ?? 30,
    cleanupSeconds: options.cleanupSeconds ?? 60,
    pollSeconds: options.pollSeconds ?? 1,
    pooler: options.pooler ?? 'none',
    capacity: options.capacity ?? 100_000,
    maxPendingPerApp: options.maxPendingPerApp ?? 0,
    idempotencyHours: options.idempotencyHours ?? 24,
    taskRetentionDays: options.taskRetentionDays ?? 0,
    ledgerRetentionDays: options.ledgerRetentionDays ?? 0,
    version: options.version ?? '',
    promiseSeconds: { urgent: URGENT_SECONDS, high: 60, medium: 600, low: 3_600, ...options.promiseSeconds },
  };
}
