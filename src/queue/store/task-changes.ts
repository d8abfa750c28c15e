import type { ClaimedTask, Decision } from '../task-handler.js';
import type { CancelCause, TaskStatus } from '../task-status.js';

/* What callers tell the store, and what it answers. */

/** One run's outcome on its way into the database. */
export interface FinishRow {
  readonly id: string;
  readonly token: string;
  readonly status: 'completed' | 'failed' | 'retrying' | 'waiting' | 'cancelled';
  readonly cause: string | null;
  readonly error_message: string | null;
  readonly result: Record<string, unknown> | null;
  /** Whether it counts towards `max_attempts`. */
  readonly failed: boolean;
  readonly retry_seconds: number | null;
  /** Of a task that waits: it goes on after so long at the latest; null for no limit. */
  readonly wait_seconds: number | null;
  /** Of a task that waits: how many decisions its run has seen; with more of them it goes on at once. */
  readonly seen_decisions: number | null;
  /** Of a prefetched task whose start is not in the database yet: this records it as well. */
  readonly begun_seconds_ago: number | null;
  /** What its run has noted of its steps and not stored: it is, with the outcome. */
  readonly steps?: { readonly task_id: string; readonly attempt: number; readonly rows: readonly unknown[] };
}

/** A prefetched task that a worker has begun. */
export interface StartRow {
  readonly id: string;
  readonly token: string;
  readonly seconds_ago: number;
}

/** How a task stands after a batched change of its status. */
export interface Finished {
  readonly id: string;
  readonly attempt: number;
  readonly status: TaskStatus;
  readonly execution_time_ms: number;
}

/** How a task stands, and under which lease. */
export interface Standing {
  readonly id: string;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly lease_token: string | null;
}

/** Idle workers of an instance, for tasks that are just being stored. */
export interface Offer {
  readonly instance: string;
  /** Of the leases of what they get. */
  readonly token: string;
  readonly workers: number;
  /** The claimer's. */
  readonly floor: number;
}

/** Beside what a task may run. */
export interface Company {
  /** A task that has cost so many crashes runs alone. */
  readonly aloneFrom: number;
  /** Those are left in the queue: `all` of them, or the `early` ones, which are not yet promised to start. */
  readonly goRound?: 'early' | 'all';
}

export interface Stored {
  /**
   * The earliest time at which one of those that now wait is promised to start, in milliseconds of the epoch; infinite
   * where none waits, null where all had been stored before.
   */
  readonly earliest: number | null;
  /** What idle workers got. */
  readonly taken: readonly ClaimedTask[];
}

export interface StoredRow {
  readonly earliest_ms: number | null;
}

/** Who asks for a change, for the ledger. */
export interface Signature {
  readonly actor: string;
  readonly requestId?: string;
}

/** What somebody says to a step that waits for people. */
export interface StepDecision {
  readonly step: string;
  readonly decision: 'approve' | 'reject';
  readonly comment?: string;
}

/** What was said to a step. */
export type Said = Pick<Decision, 'decision' | 'actor' | 'comment'>;

/** How a task runs again. */
export interface Redrive {
  /** Names of steps that run anew whatever became of them. Left out: all of a task that had completed, else none. */
  readonly anew?: readonly string[];
  /** Instead of the document it had. */
  readonly workflowSpec?: Record<string, unknown>;
  /** Instead of those it had; `null`: no timeout. */
  readonly maxAttempts?: number;
  readonly timeoutSeconds?: number | null;
  /** For the ledger. */
  readonly detail?: Record<string, unknown>;
}

/** How a task is cancelled. */
export interface Cancel {
  /** What becomes the task's cause: `cancelled` unless given. */
  readonly cause?: CancelCause;
  /** Its handler has something to do when steps of it have run. */
  readonly cleansUp?: boolean;
}

/** Another task of a concurrency key that has not ended. */
export interface KeyMate {
  readonly task_id: string;
  readonly status: TaskStatus;
  /** It is being cancelled. */
  readonly leaving: boolean;
  /** Than the one that is asked for. */
  readonly newer: boolean;
  /** It was submitted to take the place of older ones. */
  readonly replaces: boolean;
}
