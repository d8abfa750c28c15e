import { Inject, Injectable, Logger } from '@nestjs/common';
import { MetricsCollector } from '../metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { retryDelaySeconds } from '../retry-policy.js';
import { JournalStore } from '../store/journal-store.js';
import { storableText } from '../store/storable-text.js';
import { TaskStore } from '../store/task-store.js';
import { type FinishRow } from '../store/task-changes.js';
import { TaskHandler, type AbortReason, type ClaimedTask, type TaskOutcome } from '../task-handler.js';
import type { TaskStatus } from '../task-status.js';
import { Heartbeat } from './heartbeat.js';
import { Run, runKey } from './run.js';
import { WakeUps } from './wake-ups.js';
import { StatusBatcher, type StartRecord } from './status-batcher.js';

type Ending = Omit<FinishRow, 'id' | 'token' | 'begun_seconds_ago'>;

/**
 * Runs claimed tasks, at most `workers` at a time, and records how they ended. Their number can be changed at any time.
 *
 * A worker is free again as soon as its handler has returned: the next claim is on its way while the outcome is being
 * committed, and with prefetch the outcomes of short handlers gather into large batches. `room` bounds what is not yet
 * recorded. A prefetched task whose handler has returned before its start was written has both written at once.
 *
 * A task that runs alone is begun when every other run is recorded, and nothing is begun until it is: should the process
 * die, no other task's crash is counted, and none is counted that was another's.
 */
@Injectable()
export class WorkerPool {
  private readonly logger = new Logger('Queue');
  private readonly runs = new Map<string, Run>();
  /** Taken ahead, in the order in which they will be begun. */
  private readonly prefetched = new Map<string, Prefetched>();
  /** Workers whose handler is under way. */
  private busy = 0;
  /** A task that runs alone does. */
  private alone: Run | undefined;
  private readonly ended = new Map<string, Promise<void>>();
  private onFree: () => void = () => undefined;
  private workers: number;

  constructor(
    private readonly handler: TaskHandler,
    private readonly store: TaskStore,
    private readonly journals: JournalStore,
    private readonly statuses: StatusBatcher,
    private readonly heartbeat: Heartbeat,
    private readonly metrics: MetricsCollector,
    private readonly wakeUps: WakeUps,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {
    this.workers = options.workers;
  }

  /** The number of tasks it can take. */
  get room(): number {
    const { workers } = this;
    // Without prefetch nothing is taken ahead but what runs alone, and that waits for the others to end.
    if (this.options.prefetch === 0 && (this.alone || this.prefetched.size > 0)) return 0;
    const prefetch = workers === 0 ? 0 : this.options.prefetch; // nobody would begin them
    const free = workers - this.busy + prefetch;
    const unrecorded = workers + Math.max(workers, prefetch) - this.runs.size;
    return Math.min(free, unrecorded) - this.prefetched.size;
  }

  /** The workers that have nothing to do, and to whom nothing is promised. */
  get idleWorkers(): number {
    return this.alone || this.prefetched.size > 0 ? 0 : Math.min(this.workers - this.busy, this.room);
  }

  /** No handler is under way, and nothing waits for one. */
  get isIdle(): boolean {
    return this.busy === 0 && this.prefetched.size === 0;
  }

  /** More workers begin at once; fewer let what runs finish. Without any, what was taken ahead goes back to the queue. */
  resize(workers: number): void {
    this.workers = workers;
    this.beginPrefetched();
    if (workers === 0) void this.handBackPrefetched();
  }

  /** Calls back whenever there is more room. */
  onWorkerFree(callback: () => void): void {
    this.onFree = callback;
  }

  keys(): Set<string> {
    return new Set([...this.runs.keys(), ...this.prefetched.keys()]);
  }

  /** Begins prefetched tasks as workers become free. */
  take(tasks: readonly ClaimedTask[]): void {
    const takenAt = performance.now();
    for (const task of tasks) this.prefetched.set(runKey(task.id, task.leaseToken), { task, takenAt });
    this.beginPrefetched();
  }

  /** Runs a task that is running already by the database's word. */
  start(task: ClaimedTask): void {
    this.run(task);
  }

  private beginPrefetched(): void {
    for (const [key, { task, takenAt }] of this.prefetched) {
      if (this.busy >= this.workers || this.alone || (task.alone && this.runs.size > 0)) return;
      this.prefetched.delete(key);
      const waitedMs = performance.now() - takenAt;
      this.run({ ...task, queueTimeMs: task.queueTimeMs + waitedMs }, true);
    }
  }

  private run(task: ClaimedTask, wasPrefetched = false): void {
    const actor = `worker:${this.heartbeat.instanceId}`;
    const onLost = () => run.abort('lost');
    const journal = this.journals.journalOf(task, this.heartbeat, actor, onLost, () => run.abortReason);
    const run: Run = new Run(task, this.heartbeat, journal, actor, this.options.cleanupSeconds * 1_000);
    this.runs.set(run.key, run);
    if (task.alone) this.alone = run;
    const ended = this.carryOut(run, wasPrefetched ? this.recordStart(run) : undefined).finally(() => {
      this.runs.delete(run.key);
      this.ended.delete(run.key);
      if (this.alone === run) this.alone = undefined;
      this.beginPrefetched();
      this.onFree();
    });
    this.ended.set(run.key, ended);
  }

  /** `final`: a cancel that leaves no time for cleaning up. */
  abort(key: string, reason: AbortReason, how?: { readonly final: boolean }): void {
    this.runs.get(key)?.abort(reason, how);
    const ahead = this.prefetched.get(key);
    if (!ahead) return;
    this.prefetched.delete(key);
    if (reason !== 'lost') void this.handBack([ahead.task]);
  }

  abortAll(reason: AbortReason): void {
    for (const run of this.runs.values()) run.abort(reason);
    if (reason === 'lost') this.prefetched.clear();
  }

  /** Returns to the queue what no worker has begun. */
  async handBackPrefetched(): Promise<void> {
    const tasks = [...this.prefetched.values()].map(({ task }) => task);
    this.prefetched.clear();
    if (tasks.length > 0) await this.handBack(tasks);
  }

  /** Resolves when no run is under way any more. */
  async idle(): Promise<void> {
    while (this.ended.size > 0) await Promise.all(this.ended.values());
  }

  private async carryOut(run: Run, start: StartRecord | undefined): Promise<void> {
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
    // What is left of a cancelled task has a limit of its own.
    const timeoutSeconds = task.cancelling ? null : task.timeoutSeconds;
    const endTimer = timeoutSeconds === null ? () => undefined : run.abortAfter(timeoutSeconds * 1_000);
    this.busy++;
    // A task that kills its process must not do so unrecorded twice: the crash would never count.
    const runs = !task.suspect || !start || (await start.mine.catch(() => false));
    const outcome: TaskOutcome = runs ? await this.handle(run) : { status: 'aborted' };
    this.busy--;
    endTimer();
    run.stopTimers();
    this.beginPrefetched();
    this.onFree();
    try {
      await this.record(run, outcome, start, labels);
    } catch (error) {
      // Not recorded: the lease stands without a run, and the next heartbeat, or the rescuer, returns the task.
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

  /** The handler does not wait for it: its outcome does. */
  private recordStart(run: Run): StartRecord {
    const { id, leaseToken: token, attempt } = run.task;
    const start = this.statuses.start({ id, token, attempt });
    start.mine.then(
      (mine) => mine || run.abort('lost'),
      () => undefined, // the run meets the error when it wants to record its outcome
    );
    return start;
  }

  /** Returns tasks to the queue that no worker has begun. Never rejects. */
  async handBack(tasks: readonly ClaimedTask[]): Promise<void> {
    const runs = tasks.map(({ id, leaseToken: token }) => ({ id, token }));
    try {
      await this.store.handBackUnlocked(runs, `worker:${this.heartbeat.instanceId}`, 'handed_back');
      this.wakeUps.sendReady();
    } catch (error) {
      // Their leases stand: the next heartbeat finds them without a run, or the rescuer does.
      this.logger.warn({ msg: 'Prefetched tasks could not be handed back', error: messageOf(error) });
    }
    this.onFree();
  }

  private async record(
    run: Run,
    outcome: TaskOutcome,
    start: StartRecord | undefined,
    labels: Record<string, unknown>,
  ): Promise<void> {
    const isHandedBack = () => run.isForOthers && outcome.status === 'aborted';
    const joined = start !== undefined && !isHandedBack() && start.withdraw();
    if (start && !joined && !(await start.mine)) return this.discard(labels);
    if (run.isLost) return this.discard(labels);
    const { task } = run;
    if (isHandedBack()) {
      // Where the lease is lost, the next statement finds that as well.
      await run.journal.flush().catch(() => undefined);
      const runs = [{ id: task.id, token: task.leaseToken }];
      const [returned] = await this.store.handBack(runs, run.actor, 'handed_back');
      if (!returned) return this.discard(labels);
      // A cancel had been asked for: it is carried out instead.
      if (returned.status === 'cancelled') return this.finished(returned.status, 0, labels);
      this.wakeUps.sendReady();
      this.metrics.recordHandedBack();
      this.logger.log({ msg: 'Task handed back', ...labels });
      return;
    }
    const ending = endingOf(task, outcome, run.abortReason);
    const taken = run.journal.takeNotes();
    const notes = taken ? await taken : [];
    const finished = await this.statuses.finish({
      id: task.id,
      token: task.leaseToken,
      attempt: task.attempt,
      ...(joined && { begunAt: start.begunAt }),
      ...(notes.length > 0 && { noted: { taskId: task.taskId, notes } }),
      ...ending,
    });
    if (finished === 'lost') return this.discard(labels);
    if (outcome.status === 'waiting' && ending.status === 'waiting') {
      this.logger.log({ msg: 'Task waits for a decision', ...labels });
      // A decision came while the run was on its way here.
      if (finished.status === 'pending') this.wakeUps.sendReady();
      return;
    }
    if (finished.status === 'retrying') this.wakeUps.sendDue((ending.retry_seconds ?? 0) * 1_000);
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

  /** Whether a lease listed by the database is one that this pool knows. */
  has(id: string, token: string): boolean {
    const key = runKey(id, token);
    return this.runs.has(key) || this.prefetched.has(key);
  }
}

interface Prefetched {
  readonly task: ClaimedTask;
  /** Of `performance.now()`. */
  readonly takenAt: number;
}

const PLAIN = {
  cause: null,
  error_message: null,
  result: null,
  failed: false,
  retry_seconds: null,
  wait_seconds: null,
  seen_decisions: null,
};

function endingOf(task: ClaimedTask, outcome: TaskOutcome, reason: AbortReason | undefined): Ending {
  // It ran for no more than cleaning up, however that ended.
  if (task.cancelling) {
    const { cause, reason: errorMessage } = task.cancelling;
    return { ...PLAIN, status: 'cancelled', cause, error_message: errorMessage };
  }
  if (outcome.status === 'completed') return { ...PLAIN, status: 'completed', result: outcome.result ?? null };
  // A step that the cancel ended may report itself as failed; the reason it was ended for is the truth.
  if (reason === 'cancelled') return { ...PLAIN, status: 'cancelled', cause: 'cancelled', error_message: 'cancelled' };
  if (reason === 'timeout') {
    return failure(task, {
      cause: 'timeout',
      errorMessage: `the task took longer than its timeout of ${task.timeoutSeconds} s and was ended`,
      retryable: outcome.status !== 'aborted' || outcome.retryable !== false,
      ...(outcome.status === 'waiting' ? {} : { retryInSeconds: outcome.retryInSeconds }),
    });
  }
  if (outcome.status === 'waiting')
    return { ...PLAIN, status: 'waiting', wait_seconds: outcome.seconds, seen_decisions: outcome.seenDecisions };
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
  {
    cause,
    errorMessage,
    retryable,
    retryInSeconds,
    result,
  }: Omit<Extract<TaskOutcome, { status: 'failed' }>, 'status'>,
): Ending {
  const again = retryable && task.failures + 1 < task.maxAttempts;
  return {
    ...PLAIN,
    status: again ? 'retrying' : 'failed',
    cause,
    error_message: storableText(errorMessage),
    result: result ?? null,
    failed: true,
    retry_seconds: again ? (retryInSeconds ?? retryDelaySeconds(task.failures + 1)) : null,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
