/**
 * The one vocabulary of events for the outside: the stream's and the webhooks'. Each stands for one entry of the ledger.
 * docs/events.md is tested against it. A type is part of the public API and is never renamed.
 */
export const EVENT_TYPES = [
  'task.enqueued',
  'task.started',
  'task.completed',
  'task.failed',
  'task.cancelled',
  'task.retrying',
  'task.waiting',
  'task.due',
  'task.resumed',
  'task.handed_back',
  'task.redriven',
  'task.step_started',
  'task.step_completed',
  'task.step_failed',
  'task.step_waiting',
  'task.step_skipped',
  'task.step_cancelled',
  'task.step_reset',
  'task.noted',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What the type of an entry depends on. */
export interface LedgerChange {
  readonly kind: 'transition' | 'step' | 'operator';
  readonly taskId: string | null;
  readonly fromStatus: string | null;
  readonly toStatus: string | null;
}

const BY_STATUS: Readonly<Record<string, EventType>> = {
  running: 'task.started',
  completed: 'task.completed',
  failed: 'task.failed',
  cancelled: 'task.cancelled',
  retrying: 'task.retrying',
  waiting: 'task.waiting',
};

/** By the state from which a task becomes `pending`. */
const TO_PENDING: Readonly<Record<string, EventType>> = {
  scheduled: 'task.due',
  retrying: 'task.due',
  waiting: 'task.resumed',
  running: 'task.handed_back',
  completed: 'task.redriven',
  failed: 'task.redriven',
  cancelled: 'task.redriven',
};

const BY_STEP_STATUS: Readonly<Record<string, EventType>> = {
  pending: 'task.step_reset',
  running: 'task.step_started',
  completed: 'task.step_completed',
  failed: 'task.step_failed',
  waiting: 'task.step_waiting',
  skipped: 'task.step_skipped',
  cancelled: 'task.step_cancelled',
};

/** Undefined for what concerns no task: operators' actions on the queue are read in the ledger only. */
export function eventTypeOf({ kind, taskId, fromStatus, toStatus }: LedgerChange): EventType | undefined {
  if (taskId === null) return undefined;
  if (kind === 'operator') return 'task.noted';
  if (kind === 'step') return BY_STEP_STATUS[toStatus ?? ''];
  if (fromStatus === null) return 'task.enqueued';
  return toStatus === 'pending' ? TO_PENDING[fromStatus] : BY_STATUS[toStatus ?? ''];
}
