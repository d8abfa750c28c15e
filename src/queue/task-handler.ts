import type { CancelCause, TaskCause } from './task-status.js';

/** A task as its handler sees it: claimed by this instance, under a lease. */
export interface ClaimedTask {
  /** The row's key in `queue_tasks`; bigint as text. */
  readonly id: string;
  /** "task-" + UUIDv7, the name users know. */
  readonly taskId: string;
  readonly leaseToken: string;
  /** Numbers the claims, from 1. */
  readonly attempt: number;
  readonly failures: number;
  readonly maxAttempts: number;
  readonly appName: string;
  readonly workflowName: string;
  readonly workflowSpec: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
  /** A limit for the whole run, in seconds; null for none. */
  readonly timeoutSeconds: number | null;
  readonly requestId: string | null;
  /** Milliseconds between the time the task was due and its claim, by the database's clock. */
  readonly queueTimeMs: number;
  /** Lost before by an instance that had taken it ahead: its start is recorded before it is run. */
  readonly suspect: boolean;
  /**
   * One crash more and it is given up: it is run while nothing else runs on this instance, as far as others can wait, so
   * that the crash is its own.
   */
  readonly alone: boolean;
  /** When it is promised to start; milliseconds of the epoch. */
  readonly startBy: number;
  /** It was cancelled before this run began, which is only for cleaning up what earlier ones have left. */
  readonly cancelling: Cancelling | null;
}

/** With what a cancelled task will end. */
export interface Cancelling {
  readonly cause: CancelCause;
  readonly reason: string;
}

/**
 * Why a run is told to stop. `lost`: the lease is gone, nothing it writes will count. `shutdown`: the instance drains and
 * the grace time is over. Both are handed to another instance; `cancelled` and `timeout` end the task.
 */
export type AbortReason = 'cancelled' | 'timeout' | 'lost' | 'shutdown';

/** Why cleaning up has to stop; `cancelled`: somebody cancelled again. */
export type CleanUpEnd = 'cancelled' | 'lost' | 'shutdown' | 'cleanup_timeout';

/** The lease under which a run may act. It is renewed in the background for as long as the instance lives. */
export interface RunLease {
  /** Milliseconds of `performance.now()` after which the run must have stopped unless the lease was renewed. */
  deadline(): number;
  /** Calls back after each renewal; returns the function that ends it. */
  onRenewed(listener: () => void): () => void;
}

export interface StepEnd {
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly exitCode?: number;
  readonly cause?: string;
  readonly errorMessage?: string;
  readonly outputs?: Record<string, string>;
  /** What the step has set for the steps after it, beside its outputs. */
  readonly variables?: Record<string, string>;
  /** How often it was tried; 1 unless given. */
  readonly tries?: number;
}

/** A step at the beginning of a run. */
export interface BeginningStep {
  readonly name: string;
  readonly type: string;
  readonly keep?: boolean;
}

/** A step that will not run, and why. */
export interface SkippedStep {
  readonly position: number;
  readonly cause: string;
  readonly why: string;
}

/** A step as the runs so far have left it. */
export interface StoredStep {
  readonly position: number;
  readonly name: string;
  readonly type: string;
  readonly status: 'pending' | 'running' | 'waiting' | 'completed' | 'failed' | 'skipped' | 'cancelled';
  /** The task's attempt in which it ran. */
  readonly attempt: number;
  readonly cause: string | null;
  readonly errorMessage: string | null;
  readonly outputs: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  /** As `waitStep` was told; null where it does not wait. */
  readonly waitsFor: Readonly<Record<string, unknown>> | null;
  /** Until its deadline, by the database's clock; null for none. */
  readonly secondsLeft: number | null;
  /** What people have said since it began to wait, in their order. */
  readonly decisions: readonly Decision[];
}

export interface Decision {
  readonly decision: 'approve' | 'reject';
  readonly actor: string;
  readonly comment: string | null;
}

export interface LogChunk {
  readonly step: string;
  readonly stream: 'stdout' | 'stderr' | 'system';
  readonly chunk: Buffer;
}

/** The run's lease is gone: somebody else has the task, and nothing of this run may be written any more. */
export class LeaseLostError extends Error {
  constructor(taskId: string) {
    super(`the lease of ${taskId} is lost`);
    this.name = 'LeaseLostError';
  }
}

/**
 * Where a run keeps how far it has come; readers see it as the task's steps and logs. Every write is fenced by the run's
 * lease and rejects with LeaseLostError once that is gone. Steps go by their position, from 0.
 *
 * What is said of steps counts from when it is said, and is stored soon after: nobody has to wait for the promise, which
 * resolves when it is. Before anything is done that a later run must not do without knowing what came before it, `flush`.
 * What is noted when the handler returns is stored with the outcome, or not at all.
 */
export interface RunJournal {
  /** All steps as earlier runs, and what this one has noted, have left them; none before the first run has begun them. */
  storedSteps(): Promise<StoredStep[]>;
  /**
   * Notes all steps of the run as pending but those to `keep`, which stay as they are (found by their names). What earlier
   * runs made of the others makes way; the ledger has it.
   */
  beginSteps(steps: readonly BeginningStep[]): Promise<void>;
  startStep(position: number): Promise<void>;
  /** The step waits for people to decide, at most `seconds` (null: for good). */
  waitStep(position: number, waitsFor: Readonly<Record<string, unknown>>, seconds: number | null): Promise<void>;
  finishStep(position: number, end: StepEnd): Promise<void>;
  skipSteps(steps: readonly SkippedStep[]): Promise<void>;
  /** Stores at once what is noted of steps; resolves when all of it is stored. */
  flush(): Promise<void>;
  /** The run ends for `cause`: steps that have not begun never will, and nobody is waited for any more. Stored at once. */
  closeSteps(cause: string): Promise<void>;
  appendLog(chunks: readonly LogChunk[]): Promise<void>;
  /** Bytes of output stored for this task so far, by earlier attempts too. */
  loggedBytes(): Promise<number>;
}

export interface TaskRun {
  readonly task: ClaimedTask;
  /** Aborted with an `AbortReason` as its reason; the handler then ends everything it started and returns. */
  readonly signal: AbortSignal;
  readonly lease: RunLease;
  readonly journal: RunJournal;
  /**
   * For a run that was told to stop for `cancelled` or `timeout` and has ended all it had started, and for one of a task
   * that was cancelled before: its time for cleaning up begins with the first call. When the signal that comes back is
   * aborted (a `CleanUpEnd` as its reason; it may be so at once) the handler stops and returns.
   */
  cleanUp(): AbortSignal;
}

/** How a run ended. Outcomes are values: a handler that throws is a failure with the thrown message. */
export type TaskOutcome =
  | { readonly status: 'completed'; readonly result?: Record<string, unknown> }
  | {
      readonly status: 'failed';
      readonly cause: TaskCause;
      readonly errorMessage: string;
      /** False where another try cannot help, whatever `max_attempts` says. */
      readonly retryable: boolean;
      /** Until the next attempt, should there be one; the queue's own backoff unless given. */
      readonly retryInSeconds?: number;
      readonly result?: Record<string, unknown>;
    }
  /** Nothing can go on before somebody decides; the worker is free, and the task runs again after a decision. */
  | {
      readonly status: 'waiting';
      /** It runs again after so long at the latest; null for no limit. */
      readonly seconds: number | null;
      /** How many decisions on its waiting steps the run has seen; with more of them the task goes on at once. */
      readonly seenDecisions: number;
    }
  /** The run stopped because its signal was aborted. */
  | {
      readonly status: 'aborted';
      /** For a task whose time was up: as with a failure. */
      readonly retryable?: boolean;
      readonly retryInSeconds?: number;
    };

/** What the queue runs. The queue knows no workflows; the application binds an implementation to this class. */
export abstract class TaskHandler {
  abstract handle(run: TaskRun): Promise<TaskOutcome>;

  /**
   * Whether there is something to do for a task with this document when it is cancelled after steps of it have run: then
   * one that nobody runs is run once more, for that alone. Must not throw.
   */
  cleansUp(_workflowSpec: Record<string, unknown>): boolean {
    return false;
  }
}
