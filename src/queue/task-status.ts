/**
 * The states of a task and the legal ways between them: the only copy in TypeScript. The database holds the same pairs
 * in `queue_task_transitions` and refuses every other change; a test compares the two.
 */
export const TASK_STATUSES = [
  'scheduled',
  'pending',
  'running',
  'waiting',
  'retrying',
  'completed',
  'failed',
  'cancelled',
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const LEGAL_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  scheduled: ['pending', 'cancelled'],
  pending: ['running', 'cancelled'],
  running: ['completed', 'waiting', 'retrying', 'failed', 'cancelled', 'pending'],
  waiting: ['pending', 'cancelled'],
  retrying: ['pending', 'cancelled'],
  completed: ['pending'],
  failed: ['pending'],
  cancelled: ['pending'],
};

export const TERMINAL_STATUSES = ['completed', 'failed', 'cancelled'] as const satisfies readonly TaskStatus[];

export function isTerminal(status: TaskStatus): boolean {
  return (TERMINAL_STATUSES as readonly TaskStatus[]).includes(status);
}

/** Why a task ended as it did; stored in `queue_tasks.cause`. */
export const TASK_CAUSES = [
  'step_failed',
  'timeout',
  'crash_loop',
  'cancelled',
  'superseded',
  'rejected',
  'expired',
] as const;
export type TaskCause = (typeof TASK_CAUSES)[number];

/** Why a task is cancelled: somebody wants it, or a newer one takes its place. */
export type CancelCause = Extract<TaskCause, 'cancelled' | 'superseded'>;
