import { Inject, Injectable, Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Backpressure } from './backpressure.js';
import { EnqueueBatcher } from './enqueue-batcher.js';
import { answerOf, type Enqueued } from './idempotency.js';
import { Maintenance } from './maintenance/maintenance.js';
import { Pauses, type PauseScope } from './maintenance/pauses.js';
import { Sweep } from './maintenance/sweep.js';
import { MetricsCollector } from './metrics-collector.js';
import { checkText, encodeTask, type EncodedTask, type Idempotency, type KeyedTask, type NewTask } from './new-task.js';
import { QueueDrainingError, TaskNotFoundError, TaskStateError, KeyBusyError } from './queue-errors.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from './queue-options.js';
import { QueueRuntime } from './queue-runtime.js';
import type { ActiveTasks, QueueStats } from './queue-stats.dto.js';
import { IdempotencyStore } from './store/idempotency-store.js';
import type { Pause } from './store/pauses.sql.js';
import type { Executor } from './store/queue-database.js';
import { StatsStore } from './store/stats-store.js';
import { TaskStore } from './store/task-store.js';
import { type Redrive, type Said, type Signature, type StepDecision } from './store/task-changes.js';
import { TaskHandler } from './task-handler.js';
import { isTerminal, type CancelCause, type TaskStatus } from './task-status.js';
import { Claimer } from './workers/claimer.js';
import { WakeUps } from './workers/wake-ups.js';

export interface EnqueueOptions {
  /** Stores the task in this manager's transaction. */
  readonly manager?: EntityManager;
  /** Also where the queue has no room: for what the system itself submits, and must not get lost. */
  readonly evenWhenFull?: boolean;
}

/** What became of one task, and a time before which it is not promised to start: Infinity where it does not wait. */
interface StoredTask {
  readonly enqueued: Enqueued;
  readonly earliest: number;
}

const LOOKS = 6;
const SHOWN_HOLDERS = 5;

/** Characters of a reason: it stands in the task's error message and in the ledger. */
const MAX_REASON = 2_000;

/** Of `enqueueMany`: as many tasks as one statement takes, and one lane more than statements are in flight. */
const CHUNK = 500;
const LANES = 3;

/** The queue's front: everything an application does with it goes through here. */
@Injectable()
export class QueueService {
  private readonly logger = new Logger('Queue');

  constructor(
    private readonly store: TaskStore,
    private readonly batcher: EnqueueBatcher,
    private readonly keys: IdempotencyStore,
    private readonly backpressure: Backpressure,
    private readonly stats: StatsStore,
    private readonly runtime: QueueRuntime,
    private readonly claimer: Claimer,
    private readonly maintenance: Maintenance,
    private readonly sweep: Sweep,
    private readonly pauses: Pauses,
    private readonly wakeUps: WakeUps,
    private readonly metrics: MetricsCollector,
    private readonly handler: TaskHandler,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /**
   * Stores a task; resolves when its row is committed. With `manager` it takes part in that manager's transaction, and
   * stands or falls with it. With an idempotency key that is taken nothing is stored, and the first task is answered with
   * (`replayed`). Throws InvalidTaskError, QueueDrainingError, QueueBusyError, QueueFullError, AppQueueFullError,
   * IdempotencyConflictError, KeyBusyError, or the database's error.
   *
   * With `concurrency.whenFull: 'replace'` the older tasks of the key are cancelled once this one is stored, with the cause
   * `superseded`: all that wait, for whatever, and of those that run as many, the oldest first, as it takes for this one to
   * start. In the caller's own transaction nothing is replaced or rejected: the task waits in line.
   */
  async enqueue(task: NewTask, { manager, evenWhenFull }: EnqueueOptions = {}): Promise<Enqueued> {
    const [encoded] = this.encode([task]) as [EncodedTask];
    const refusal = evenWhenFull ? undefined : await this.backpressure.refusal([task]);
    if (refusal) {
      const known = task.idempotency && (await this.recall(task.idempotency));
      if (known) return known;
      throw refusal;
    }
    if (manager) return this.enqueueWith(manager, task, encoded);
    const { enqueued, earliest } = await this.storeOne(task, encoded, 'refuse');
    if (!enqueued.replayed) this.announce([task], [encoded], earliest);
    return enqueued;
  }

  /**
   * Stores any number of tasks, some at a time, so that other callers are not held up behind them. Not one transaction:
   * rejects with the first error, when all the others have been tried. Where there is no room for all, none is stored.
   */
  async enqueueMany(
    tasks: readonly NewTask[],
    { evenWhenFull }: Pick<EnqueueOptions, 'evenWhenFull'> = {},
  ): Promise<Enqueued[]> {
    const encoded = this.encode(tasks);
    const refusal = evenWhenFull ? undefined : await this.backpressure.refusal(tasks);
    if (refusal) throw refusal;
    const results: PromiseSettledResult<StoredTask>[] = [];
    const indices = encoded.keys();
    const lane = async () => {
      for (let chunk = take(indices, CHUNK); chunk.length > 0; chunk = take(indices, CHUNK)) {
        const stored = await Promise.allSettled(
          chunk.map((index) => this.storeOne(tasks[index]!, encoded[index]!, 'wait')),
        );
        stored.forEach((result, n) => (results[chunk[n]!] = result));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    const isStored = (_: unknown, index: number) => {
      const result = results[index];
      return result?.status === 'fulfilled' && !result.value.enqueued.replayed;
    };
    const stored = tasks.filter(isStored);
    if (stored.length > 0) {
      const earliest = results.reduce(
        (least, result) => (result.status === 'fulfilled' ? Math.min(least, result.value.earliest) : least),
        Infinity,
      );
      this.announce(stored, encoded.filter(isStored), earliest);
    }
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value.enqueued;
    });
  }

  /** Throws the database's error where no task could be stored now. */
  check(): Promise<void> {
    return this.batcher.check();
  }

  /** What was stored under this key, if anything was; throws IdempotencyConflictError where it was another request. */
  async recall(asked: Idempotency): Promise<Enqueued | undefined> {
    const noted = await this.keys.read(asked);
    return noted && answerOf(undefined, asked, noted);
  }

  /**
   * Nothing of the application, of the workflow, or (with neither) of the whole queue is claimed any more; what runs goes on.
   * False where it was paused already.
   */
  pause(scope: PauseScope, by: Signature, reason?: string): Promise<boolean> {
    return this.pauses.pause(scope, by, reason);
  }

  /** The end of a pause, made with the same scope; false where there was none. */
  async resume(scope: PauseScope, by: Signature, reason?: string): Promise<boolean> {
    const resumed = await this.pauses.resume(scope, by, reason);
    this.wake();
    return resumed;
  }

  /** What is paused. */
  getPauses(): Promise<Pause[]> {
    return this.pauses.list();
  }

  /** The whole cluster's numbers. */
  async getStats(): Promise<QueueStats> {
    const { queue_size, ...counted } = await this.stats.read();
    const { capacity } = this.options;
    return {
      queue_size,
      queue_capacity: Number.isFinite(capacity) ? capacity : null,
      ...counted,
      completed_per_minute: this.metrics.throughput.completedPerMinute,
      notifications: this.wakeUps.degraded === undefined ? 'on' : 'off',
      degraded: this.wakeUps.degraded ?? null,
    };
  }

  /** What runs now; with patterns (`*` for any characters), of the applications that fit one. */
  getActiveTasks(apps?: readonly string[]): Promise<ActiveTasks> {
    return this.stats.readActive(apps);
  }

  /**
   * Cancels a task: at once where it waits; one that an instance runs, or has taken ahead, is asked for (`running`), and
   * is `cancelled` when its processes have ended. One of which steps have run, and for which its handler has something to
   * clean up, is marked and does that first (`pending`, where nobody runs it); a second cancel spares it that. `cause`
   * becomes the task's. Each look is a statement of its own: a task
   * that is just being claimed is found at the next.
   */
  async cancel(
    taskId: string,
    by: Signature,
    reason = 'cancelled',
    { cause = 'cancelled' }: { cause?: CancelCause } = {},
  ): Promise<TaskStatus> {
    checkText('reason', reason, MAX_REASON);
    let cleansUp: boolean | undefined;
    for (let look = 1; look <= LOOKS + 1; look++) {
      const task = await this.store.lookAt(taskId);
      if (!task) throw new TaskNotFoundError(taskId);
      if (isTerminal(task.status)) {
        throw new TaskStateError(taskId, task.status, `the task is ${task.status}: there is nothing to cancel`);
      }
      cleansUp ??= await this.cleansUp(task.id);
      const how = { cause, cleansUp };
      const status = await this.store.cancelIdle(task.id, by, reason, how);
      if (status === 'pending') this.wake();
      if (status !== undefined) return status;
      const instance = await this.store.requestCancel(task.id, by, reason, how);
      if (instance !== undefined) {
        this.wakeUps.sendCancel(instance);
        return 'running';
      }
      // Neither waiting nor running after so many looks: its rows are out of step.
      if (look === LOOKS) await this.sweep.sweepTasks([task.id], by.actor);
    }
    throw new TaskStateError(taskId, 'running', 'the task changes hands too fast to be cancelled: try again');
  }

  /** Sends a task that has ended through the queue again, with fresh budgets. */
  async retry(taskId: string, by: Signature, how: Redrive = {}): Promise<void> {
    if (!(await this.store.redrive(taskId, by, this.options.promiseSeconds, how))) {
      const task = await this.store.lookAt(taskId);
      if (!task) throw new TaskNotFoundError(taskId);
      const problem = `the task is ${task.status}: only one that has ended can be retried; cancel it first`;
      throw new TaskStateError(taskId, task.status, problem);
    }
    this.wake();
  }

  /**
   * Notes what somebody says to a step that waits; false where no step of that name does, or this actor has spoken to it.
   * Where all that was said settles the matter, a task that waits goes on; `settles` gives the ledger's cause for it. One
   * whose other steps still run takes notice when they have ended.
   */
  async decide(
    taskId: string,
    decision: StepDecision,
    by: Signature,
    settles: (made: readonly Said[]) => string | undefined,
  ): Promise<boolean> {
    const task = await this.store.lookAt(taskId);
    if (!task) throw new TaskNotFoundError(taskId);
    const { noted, woken } = await this.store.decide({ id: task.id, taskId }, decision, by, settles);
    if (woken) this.wake();
    return noted;
  }

  /** Of these tasks those that nobody goes on with: they completed, ended more than so many seconds ago, or are gone. */
  doneFor(taskIds: readonly string[], seconds: number): Promise<string[]> {
    return this.store.doneFor(taskIds, seconds);
  }

  /** Stops claiming, waits for running tasks, hands the rest back. Later calls wait for the first. */
  drain(): Promise<void> {
    return this.runtime.drain();
  }

  get draining(): boolean {
    return this.runtime.draining;
  }

  private async cleansUp(id: string): Promise<boolean> {
    if (this.options.cleanupSeconds <= 0) return false;
    const spec = await this.store.specOf(id);
    return spec !== undefined && this.handler.cleansUp(spec);
  }

  private encode(tasks: readonly NewTask[]) {
    if (this.runtime.draining) throw new QueueDrainingError();
    return tasks.map((task) => encodeTask(task, this.options));
  }

  /** Stores a task as its idempotency key and its concurrency key want it. */
  private async storeOne(task: NewTask, encoded: EncodedTask, whenBusy: 'refuse' | 'wait'): Promise<StoredTask> {
    const { key, limit = 1, whenFull } = task.concurrency ?? {};
    if (key !== undefined && whenFull === 'reject') return this.storeUnlessBusy(key, encoded);
    const stored = await this.storeUnlessKnown(encoded, whenBusy);
    if (key !== undefined && whenFull === 'replace' && !stored.enqueued.replayed) {
      const user = task.metadata?.user;
      await this.supersede(key, limit, encoded.taskId, typeof user === 'string' ? user : 'queue');
    }
    return stored;
  }

  private async storeUnlessBusy(key: string, encoded: EncodedTask): Promise<StoredTask> {
    const { taskId } = encoded;
    let enqueued: Enqueued = { taskId, replayed: false };
    const once = async (executor: Executor) => {
      if (!isKeyed(encoded)) return true;
      const [noted] = await this.keys.enqueueIn(executor, [encoded], this.keepSeconds);
      enqueued = answerOf(taskId, encoded.idempotency, noted!);
      return !enqueued.replayed;
    };
    if (!(await this.store.enqueueUnlessBusy(encoded, once))) {
      throw new KeyBusyError(key, await this.store.holdersOf(key, SHOWN_HOLDERS));
    }
    return { enqueued, earliest: -Infinity };
  }

  /**
   * The newest by id stays. Two that replace each other need not see each other at their commits: the one whose commit came
   * last sees the other, and where that is the newer one, makes way itself.
   */
  private async supersede(key: string, limit: number, taskId: string, actor: string): Promise<void> {
    const others = await this.store.othersOfKey(key, taskId);
    const heir = others.findLast(({ newer, replaces }) => newer && replaces);
    if (heir) return this.makeWay(taskId, heir.task_id, actor);
    // A second cancel would spare one that is leaving its clean-up.
    const older = others.filter(({ newer, leaving }) => !newer && !leaving);
    const running = older.filter(({ status }) => status === 'running');
    const surplus = new Set(running.slice(0, Math.max(0, running.length - (limit - 1))));
    for (const task of older) {
      if (task.status === 'running' && !surplus.has(task)) continue;
      await this.makeWay(task.task_id, taskId, actor);
    }
  }

  private async makeWay(taskId: string, forTask: string, actor: string): Promise<void> {
    try {
      await this.cancel(taskId, { actor }, `superseded by ${forTask}`, { cause: 'superseded' });
    } catch (error) {
      // It has ended by itself, or somebody else's cancel came first: it makes way all the same.
      if (!(error instanceof TaskStateError)) throw error;
    }
  }

  private get keepSeconds(): number {
    return this.options.idempotencyHours * 3_600;
  }

  /** Whether and when it commits is the caller's: the notification goes with the commit, and nothing is counted here. */
  private async enqueueWith(manager: EntityManager, task: NewTask, encoded: EncodedTask): Promise<Enqueued> {
    const { taskId } = encoded;
    if (!isKeyed(encoded)) {
      const dueIn = earliestDue([task]);
      await this.store.enqueueWith(manager, [encoded], dueIn > 0 ? `due:${Math.round(dueIn)}` : 'ready');
      return { taskId, replayed: false };
    }
    const [noted] = await this.keys.enqueueWith(manager, [encoded], this.keepSeconds);
    return answerOf(taskId, encoded.idempotency, noted!);
  }

  private async storeUnlessKnown(encoded: EncodedTask, whenFull: 'refuse' | 'wait'): Promise<StoredTask> {
    const { taskId } = encoded;
    if (!isKeyed(encoded)) {
      return { enqueued: { taskId, replayed: false }, earliest: await this.batcher.enqueue(encoded, whenFull) };
    }
    const { noted, earliest } = await this.batcher.enqueueOnce(encoded, whenFull);
    const enqueued = answerOf(taskId, encoded.idempotency, noted);
    return { enqueued, earliest: enqueued.replayed ? Infinity : earliest };
  }

  private announce(tasks: readonly NewTask[], encoded: readonly { taskId: string }[], earliest: number): void {
    this.metrics.recordEnqueued(tasks.length);
    tasks.forEach((task, index) =>
      this.logger.log({
        msg: 'Task enqueued',
        task_id: encoded[index]!.taskId,
        app_name: task.appName,
        workflow_name: task.workflowName,
        queue_size: this.metrics.queueSize,
        request_id: task.requestId,
      }),
    );
    if (earliest < Infinity) this.wake(earliest);
    // Housekeeping promotes what is due later; what is due now the claimer finds.
    const later = tasks.filter((task) => task.runAt || task.delaySeconds);
    if (later.length === 0) return;
    this.maintenance.lookAgain();
    this.wakeUps.sendDue(earliestDue(later));
  }

  private wake(earliest?: number): void {
    this.claimer.wake(earliest);
    this.wakeUps.sendReady(earliest);
  }
}

const isKeyed = (task: EncodedTask): task is KeyedTask => task.idempotency !== undefined;
/** Milliseconds until the first of them is due. */
function earliestDue(tasks: readonly NewTask[]): number {
  const dues = tasks.map(({ runAt, delaySeconds = 0 }) =>
    runAt ? runAt.getTime() - Date.now() : delaySeconds * 1_000,
  );
  return dues.reduce((least, due) => Math.min(least, due), Infinity);
}

function take(from: Iterator<number, undefined>, count: number): number[] {
  const taken: number[] = [];
  while (taken.length < count) {
    const { value } = from.next();
    if (value === undefined) break;
    taken.push(value);
  }
  return taken;
}
