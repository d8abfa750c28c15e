import { Inject, Injectable, Logger } from '@nestjs/common';
import { MetricsCollector } from '../metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { retryDelaySeconds } from '../retry-policy.js';
import { JournalStore } from '../store/journal-store.js';
import { storableText } from '../store/storable-text.js';
import { TaskStore, type FinishRow } from '../store/task-store.js';
import { TaskHandler, type AbortReason, type ClaimedTask, type TaskOutcome } from '../task-handler.js';
import type { TaskStatus } from '../task-status.js';
import { Heartbeat } from './heartbeat.js';
import { Run, runKey } from './run.js';
import { StatusBatcher } from './status-batcher.js';

type Ending = Pick<FinishRow, 'status' | 'cause' | 'error_message' | 'result' | 'failed' | 'retry_seconds'>;

/** Runs claimed tasks, at most `workers` at a time, and records how they ended. */
@Injectable()
export class WorkerPool {
  private readonly logger = new Logger('Queue');
  private readonly runs = new Map<string, Run>();
  private readonly ended = new Map<string, Promise<void>>();
  private onFree: () => void = () => undefined;

  constructor(
    private readonly handler: TaskHandler,
    private readonly store: TaskStore,
    private readonly journals: JournalStore,
    private readonly statuses: StatusBatcher,
    private readonly heartbeat: Heartbeat,
    private readonly metrics: MetricsCollector,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  get free(): number {
    return this.options.workers - this.runs.size;
  }

  /** Calls back whenever a worker becomes free. */
  onWorkerFree(callback: () => void): void {
    this.onFree = callback;
  }

  keys(): Set<string> {
    return new Set(this.runs.keys());
  }

  start(task: ClaimedTask): void {
    const actor = `worker:${this.heartbeat.instanceId}`;
    const run = new Run(task, this.heartbeat, this.journals.journalOf(task, this.heartbeat, actor), actor);
    this.runs.set(run.key, run);
    const ended = this.carryOut(run).finally(() => {
      this.runs.delete(run.key);
      this.ended.delete(run.key);
      this.onFree();
    });
    this.ended.set(run.key, ended);
  }

  abort(key: string, reason: AbortReason): void {
    this.runs.get(key)?.abort(reason);
  }

  abortAll(reason: AbortReason): void {
    for (const run of this.runs.values()) run.abort(reason);
  }

  /** Resolves when no run is under way any more. */
  async idle(): Promise<void> {
    while (this.ended.size > 0) await Promise.all(this.ended.values());
  }

  private async carryOut(run: Run): Promise<void> {
    const { task } = run;
    const labels = {
      task_id: task.taskId,
      app_name: task.appName,
      workflow_name: task.workflowName,
      worker_id: this.heartbeat.instanceId,
      attempt: task.attempt,
      request_id: task.requestId ?? undefined,
    };
    this.metrics.recordStarted(task.queueTimeMs);
    this.logger.log({
      msg: 'Processing task',
      ...labels,
      queue_size: this.metrics.queueSize,
      queue_time_ms: Math.round(task.queueTimeMs),
    });
    const endTimer = task.timeoutSeconds === null ? () => undefined : run.abortAfter(task.timeoutSeconds * 1_000);
    const outcome = await this.handle(run);
    endTimer();
    try {
      await this.record(run, outcome, labels);
    } catch (error) {
      // Not recorded: the lease stands until this instance leaves or dies, then the task is run again elsewhere.
      this.logger.error({ msg: 'The outcome of a task could not be recorded', ...labels, error: messageOf(error) });
    }
  }

  private async handle(run: Run): Promise<TaskOutcome> {
    try {
      return await this.handler.handle(run);
    } catch (error) {
      if (run.signal.aborted) return { status: 'aborted' };
      return { status: 'failed', cause: 'step_failed', errorMessage: messageOf(error), retryable: true };
    }
  }

  private async record(run: Run, outcome: TaskOutcome, labels: Record<string, unknown>): Promise<void> {
    const reason = run.abortReason;
    if (reason === 'lost') return this.discard(labels);
    const { task } = run;
    if (reason === 'shutdown' && outcome.status === 'aborted') {
      const runs = [{ id: task.id, token: task.leaseToken }];
      const [returned] = await this.store.handBack(runs, run.actor, 'handed_back');
      if (!returned) return this.discard(labels);
      // A cancel had been asked for: it is carried out instead.
      if (returned.status === 'cancelled') return this.finished(returned.status, 0, labels);
      this.metrics.recordHandedBack();
      this.logger.log({ msg: 'Task handed back', ...labels });
      return;
    }
    const ending = endingOf(task, outcome, reason);
    const finished = await this.statuses.finish({
      id: task.id,
      token: task.leaseToken,
      attempt: task.attempt,
      ...ending,
    });
    if (finished === 'lost') return this.discard(labels);
    const facts = finished.status === 'completed' ? {} : { cause: ending.cause, error: ending.error_message };
    this.finished(finished.status, Math.round(Number(finished.execution_time_ms)), { ...labels, ...facts });
  }

  private finished(status: TaskStatus, executionTimeMs: number, labels: Record<string, unknown>): void {
    this.metrics.recordFinished(status, executionTimeMs);
    const facts = { ...labels, execution_time_ms: executionTimeMs };
    if (status === 'completed') return this.logger.log({ msg: 'Task completed', ...facts });
    const msg = { cancelled: 'Task cancelled', retrying: 'Task will be retried' }[status as string];
    this.logger.warn({ msg: msg ?? 'Task failed', ...facts });
  }

  private discard(labels: Record<string, unknown>): void {
    this.metrics.recordLost();
    this.logger.warn({ msg: 'The result of a run is thrown away: its lease was lost', ...labels });
  }

  /** Whether a lease listed by the database is a run of this pool. */
  has(id: string, token: string): boolean {
    return this.runs.has(runKey(id, token));
  }
}

function endingOf(task: ClaimedTask, outcome: TaskOutcome, reason: AbortReason | undefined): Ending {
  const plain = { cause: null, error_message: null, result: null, failed: false, retry_seconds: null };
  if (outcome.status === 'completed') return { ...plain, status: 'completed', result: outcome.result ?? null };
  // A step that the cancel ended may report itself as failed; the reason it was ended for is the truth.
  if (reason === 'cancelled') return { ...plain, status: 'cancelled', cause: 'cancelled', error_message: 'cancelled' };
  if (reason === 'timeout') {
    return failure(task, {
      cause: 'timeout',
      errorMessage: `the task took longer than its timeout of ${task.timeoutSeconds} s and was ended`,
      retryable: true,
    });
  }
  if (outcome.status === 'aborted') {
    return failure(task, {
      cause: 'step_failed',
      errorMessage: 'the handler gave the run up without being asked to',
      retryable: true,
    });
  }
  return failure(task, outcome);
}

function failure(
  task: ClaimedTask,
  { cause, errorMessage, retryable, result }: Omit<Extract<TaskOutcome, { status: 'failed' }>, 'status'>,
): Ending {
  const again = retryable && task.failures + 1 < task.maxAttempts;
  return {
    status: again ? 'retrying' : 'failed',
    cause,
    error_message: storableText(errorMessage),
    result: result ?? null,
    failed: true,
    retry_seconds: again ? retryDelaySeconds(task.failures + 1) : null,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
