import { Inject, Injectable } from '@nestjs/common';
import { Admitter } from '../maintenance/admitter.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { QueueService } from '../queue.service.js';
import { TaskNotFoundError, TaskStateError } from '../queue-errors.js';
import { countTargets, discardMany, nextTargets, redriveMany } from '../store/bulk.sql.js';
import { QueueDatabase, type Executor } from '../store/queue-database.js';
import type { Signature } from '../store/task-changes.js';
import { Claimer } from '../workers/claimer.js';
import { WakeUps } from '../workers/wake-ups.js';
import type { BulkFilter, BulkKind } from './bulk-filter.js';

/** What a verb is to be done to, and in whose name. */
export interface BulkOrder {
  readonly kind: BulkKind;
  readonly filter: BulkFilter;
  readonly by: Signature;
  readonly reason: string | null;
  /** The verb is for no task that came later. */
  readonly asOf: string;
  /** The job it is part of, for the ledger. */
  readonly job?: string;
}

export interface BatchResult {
  readonly done: number;
  /** The last id looked at. */
  readonly position: string;
  /** Nothing is behind it. */
  readonly last: boolean;
  /** Concurrency keys of the tasks that are pending now. */
  readonly keys?: readonly string[];
}

/** Rows of one short transaction: some 50 ms of locks on them. */
const BATCH = 500;
/** A cancel is a few statements a task, so many at once; a stopped job ends with its batch. */
const CANCEL_BATCH = 100;
const CANCEL_LANES = 4;

/** Does the verbs on many tasks, one batch at a time. Each batch may be done twice: what it has done matches no more. */
@Injectable()
export class BulkVerbs {
  constructor(
    private readonly database: QueueDatabase,
    private readonly queue: QueueService,
    private readonly claimer: Claimer,
    private readonly wakeUps: WakeUps,
    private readonly admitter: Admitter,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /** How many tasks there are for it, and the time for which that holds. */
  async count(kind: BulkKind, filter: BulkFilter): Promise<{ count: number; asOf: string }> {
    const { statement, values } = countTargets(kind, filter);
    const [row] = await this.database.run<{ count: number; as_of: string }>(statement, values);
    return { count: row!.count, asOf: row!.as_of };
  }

  /** Whether a batch is one transaction with what else the executor is given; a cancel is several of its own. */
  isAtomic(kind: BulkKind): boolean {
    return kind !== 'cancel';
  }

  async batch(order: BulkOrder, after: string, executor: Executor): Promise<BatchResult> {
    const { kind, filter, asOf } = order;
    const limit = kind === 'cancel' ? CANCEL_BATCH : BATCH;
    const { statement, values } = nextTargets(kind, filter, { asOf, after, limit });
    const found = await executor.run<{ id: string; task_id: string }>(statement, values);
    if (found.length === 0) return { done: 0, position: after, last: true };
    const place = { position: found.at(-1)!.id, last: found.length < limit };
    if (kind === 'cancel') {
      const taskIds = found.map((row) => row.task_id);
      return { ...place, done: await this.cancel(taskIds, order) };
    }
    const ids = found.map((row) => row.id);
    const changed = await this.change(kind, ids, order, executor);
    return { ...place, done: changed.length, keys: changed.flatMap((row) => row.concurrency_key ?? []) };
  }

  /** To be called when a batch has committed. */
  announce(kind: BulkKind, { done, keys = [] }: BatchResult): void {
    if (kind !== 'redrive' || done === 0) return;
    this.claimer.wake();
    this.wakeUps.sendReady();
    this.admitter.admit(keys);
  }

  private change(
    kind: 'redrive' | 'discard',
    ids: readonly string[],
    { by, job }: BulkOrder,
    executor: Executor,
  ): Promise<{ concurrency_key?: string | null }[]> {
    const detail = job === undefined ? null : JSON.stringify({ job });
    const signed = [ids, by.actor, by.requestId ?? null];
    return kind === 'redrive'
      ? executor.run(redriveMany, [...signed, JSON.stringify(this.options.promiseSeconds), detail])
      : executor.run(discardMany, [...signed, detail]);
  }

  private async cancel(taskIds: readonly string[], { by, reason }: BulkOrder): Promise<number> {
    const rest = taskIds.values();
    let done = 0;
    const lane = async () => {
      for (const taskId of rest) {
        try {
          await this.queue.cancel(taskId, by, reason ?? undefined);
          done++;
        } catch (error) {
          // It has ended meanwhile, or changes hands too fast: one task does not keep the others from being cancelled.
          if (!(error instanceof TaskStateError || error instanceof TaskNotFoundError)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: CANCEL_LANES }, lane));
    return done;
  }
}
