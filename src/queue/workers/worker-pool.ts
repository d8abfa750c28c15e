import { Inject, Injectable, Logger } from '@nestjs/common';
import { MetricsCollector } from '../metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { JournalStore } from '../store/journal-store.js';
import { TaskStore } from '../store/task-store.js';
import { TaskHandler, type AbortReason, type ClaimedTask, type TaskOutcome } from '../task-handler.js';
import type { TaskStatus } from '../task-status.js';
import { endingOf } from './ending.js';
import { Heartbeat } from './heartbeat.js';
import { Run, runKey } from './run.js';
import { WakeUps } from './wake-ups.js';
import { StatusBatcher, type StartRecord } from './status-batcher.js';

/** So long a task that runs alone keeps others out. */
const ALONE_MS = 60_000;

/**
 * Runs claimed tasks, at most `workers` at a time, and records how they ended. Their number can be changed at any time.
 *
 * A worker is free again as soon as its handler has returned: the next claim is on its way while the outcome is being
 * committed, and with prefetch the outcomes of short handlers gather into large batches. `room` bounds what is not yet
 * recorded. A prefetched task whose handler has returned before its start was written has both written at once.
 *
 * A task that runs alone is begun when every other run is recorded, and nothing is begun until it is: should the process
 * die, no other task's crash is counted, and none is counted that was another's. Both have a limit, or one run that does
 * not end would hold the instance: it waits for a lease time at most, and keeps others out for `ALONE_MS`.
 */
@Injectable()
export class WorkerPool {
  private readonly logger = new Logger('Queue');
  private readonly runs = new Map<string, Run>();
  /** Taken ahead, in the order in which they will be begun. */
  private readonly prefetched = new Map<string, Prefetched>();
  /** Workers whose handler is under way. */
  private busy = 0;
  /** A task that runs alone, and keeps others out. */
  private alone: Run | undefined;
  /** The key of the last one that was taken ahead. */
  private aloneAhead = '';
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
    if (this.isForOne) return 0;
    const prefetch = workers === 0 ? 0 : this.options.prefetch; // nobody would begin them
    const free = workers - this.busy + prefetch;
    const unrecorded = workers + Math.max(workers, prefetch) - this.runs.size;
    return Math.min(free, unrecorded) - this.prefetched.size;
  }

  /** The workers that have nothing to do, and to whom nothing is promised. */
  get idleWorkers(): number {
    return this.prefetched.size > 0 ? 0 : Math.min(this.workers - this.busy, this.room);
  }

  /** A task that runs alone keeps others out, or waits for them to end: what were taken now would have to wait for it. */
  private get isForOne(): boolean {
    return this.alone !== undefined || this.prefetched.has(this.aloneAhead);
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
    for (const task of tasks) {
      const key = runKey(task.id, task.leaseToken);
      this.prefetched.set(key, { task, takenAt });
      if (task.alone) this.aloneAhead = key;
    }
    this.beginPrefetched();
  }

  /** Runs a task that is running already by the database's word. */
  start(task: ClaimedTask): void {
    this.run(task);
  }

  private beginPrefetched(): void {
    for (const [key, ahead] of this.prefetched) {
      const { task, takenAt } = ahead;
      if (this.busy >= this.workers || this.alone || this.waits(ahead)) return;
      this.prefetched.delete(key);
      const waitedMs = performance.now() - takenAt;
      this.run({ ...task, queueTimeMs: task.queueTimeMs + waitedMs }, true);
    }
  }

  /** Whether it is to run alone, others run, and its time to wait for them, which begins here, is not over. */
  private waits(ahead: Prefetched): boolean {
    if (!ahead.task.alone || this.runs.size === 0) return false;
    if (ahead.patience === undefined) {
      ahead.patience = 'left';
      const runOut = () => {
        ahead.patience = 'over';
        this.beginPrefetched();
        this.onFree();
      };
      setTimeout(runOut, this.options.leaseSeconds * 1_000).unref();
    }
    return ahead.patience === 'left';
  }

  /** Nothing is begun beside it until that is called which comes back, or its time for itself is over. */
  private keepOthersOut(run: Run): () => void {
    this.alone = run;
    const timer = setTimeout(() => {
      this.alone = undefined;
      this.beginPrefetched();
      this.onFree();
    }, ALONE_MS);
    timer.unref();
    return () => {
      clearTimeout(timer);
      if (this.alone === run) this.alone = undefined;
    };
  }

  private run(task: ClaimedTask, wasPrefetched = false): void {
    const actor = `worker:${this.heartbeat.instanceId}`;
    const onLost = () => run.abort('lost');
    const journal = this.journals.journalOf(task, this.heartbeat, actor, onLost, () => run.abortReason);
    const run: Run = new Run(task, this.heartbeat, journal, actor, this.options.cleanupSeconds * 1_000);
    const letOthersIn = task.alone && this.runs.size === 0 ? this.keepOthersOut(run) : undefined;
    this.runs.set(run.key, run);
    const ended = this.carryOut(run, wasPrefetched ? this.recordStart(run) : undefined).finally(() => {
      this.runs.delete(run.key);
      this.ended.delete(run.key);
      letOthersIn?.();
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
  /** Of a task that runs alone, with those that run: undefined before it has come upon any. */
  patience?: 'left' | 'over';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
