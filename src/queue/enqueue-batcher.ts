import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../common/problem/database-errors.js';
import { Batcher, type BatchLimits } from './batcher.js';
import { EnqueueCheck } from './enqueue-check.js';
import type { EncodedTask, KeyedTask } from './new-task.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from './queue-options.js';
import { IdempotencyStore, type NotedKey } from './store/idempotency-store.js';
import { isDataError, sqlState } from './store/queue-database.js';
import { TaskStore } from './store/task-store.js';
import { type Offer, type Stored } from './store/task-changes.js';
import { Claimer } from './workers/claimer.js';

/** What one process holds of tasks that are not stored yet; more than a second's worth at full speed. */
const MAX_WAITING_TASKS = 20_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** The database does not take the task now: this process already holds as many as it will, or the task's key is in other hands. */
export class QueueBusyError extends Error {
  constructor(message = 'tasks come faster than the database stores them: try again in a moment') {
    super(message);
    this.name = 'QueueBusyError';
  }
}

const RETRY_DELAYS_MS = [20, 100, 400];

const LIMITS: BatchLimits<EncodedTask> = {
  maxBatch: 500,
  maxWeight: 8 * 1024 * 1024,
  weigh: (task) => task.json.length,
  inFlight: 2,
};
const LOCK_NOT_AVAILABLE = '55P03';

/** What became of a task with an idempotency key. */
export interface StoredOnce {
  /** As `enqueue` resolves with. */
  readonly earliest: number;
  /** What stands under the key: this task, or one that was there before. */
  readonly noted: NotedKey;
}

/**
 * One INSERT for all enqueues of one turn of the event loop. A caller is answered after its row's commit. Where the data
 * is refused, the batch is halved until the culprit fails alone; where the connection broke, the whole is repeated: the
 * task ids make that harmless even when the first try had committed. What waits is bounded: callers beyond that are
 * refused at once, before the process runs out of memory.
 */
@Injectable()
export class EnqueueBatcher {
  /** Those who wait for room, in their order. */
  private readonly roomWaiters: { readonly bytes: number; readonly admitted: () => void }[] = [];
  private waitingTasks = 0;
  private waitingBytes = 0;
  private readonly batcher = new Batcher<EncodedTask, number>(
    (tasks) => insertOrHalve(tasks, (some) => this.insert(some), isDataError),
    LIMITS,
  );
  /** Apart, so that nobody without a key waits for a key. */
  private readonly keyed = new Batcher<KeyedTask, StoredOnce>(
    (tasks) => insertOrHalve(tasks, (some) => this.insertOnce(some), isKeyError),
    LIMITS,
  );
  private readonly database: EnqueueCheck;

  constructor(
    private readonly store: TaskStore,
    private readonly keys: IdempotencyStore,
    private readonly claimer: Claimer,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {
    this.database = new EnqueueCheck(store, options);
  }

  /** Tasks that are not stored yet. */
  get size(): number {
    return this.waitingTasks;
  }

  /**
   * Resolves, when the task is committed, with a time before which no task of its batch that waits is promised to start:
   * milliseconds of the epoch, Infinity where idle workers have taken all of it. Where there is no room for it: waits, or throws QueueBusyError.
   */
  enqueue(task: EncodedTask, whenFull?: WhenFull): Promise<number> {
    return this.whenThereIsRoom(task, whenFull, () => this.batcher.add(task));
  }

  /** Stores the task unless something stands under its key; what stands there now. */
  enqueueOnce(task: KeyedTask, whenFull?: WhenFull): Promise<StoredOnce> {
    return this.whenThereIsRoom(task, whenFull, () => this.keyed.add(task));
  }

  /** Throws what keeps the database from taking tasks: it is away, or read-only, or refuses what is small after a refusal. */
  check(): Promise<void> {
    return this.database.check();
  }

  private async whenThereIsRoom<T>(
    task: EncodedTask,
    whenFull: WhenFull = 'refuse',
    add: () => Promise<T>,
  ): Promise<T> {
    const bytes = Buffer.byteLength(task.json);
    if (this.hasRoomFor(bytes)) this.admit(bytes);
    else if (whenFull === 'refuse') throw new QueueBusyError();
    else await new Promise<void>((admitted) => this.roomWaiters.push({ bytes, admitted }));
    try {
      return await add();
    } finally {
      this.waitingTasks--;
      this.waitingBytes -= bytes;
      this.admitWaiting();
    }
  }

  private admit(bytes: number): void {
    this.waitingTasks++;
    this.waitingBytes += bytes;
  }

  private admitWaiting(): void {
    for (let first = this.roomWaiters[0]; first && this.hasRoomFor(first.bytes); first = this.roomWaiters[0]) {
      this.roomWaiters.shift();
      this.admit(first.bytes);
      first.admitted();
    }
  }

  /** One task alone always has room. */
  private hasRoomFor(bytes: number): boolean {
    if (this.waitingTasks === 0) return true;
    return this.waitingTasks < MAX_WAITING_TASKS && this.waitingBytes + bytes <= MAX_WAITING_BYTES;
  }

  async idle(): Promise<void> {
    await Promise.all([this.batcher.idle(), this.keyed.idle()]);
  }

  private async insert(tasks: EncodedTask[]): Promise<number[]> {
    const { earliest } = await this.storing((offer) =>
      offer ? this.store.enqueueTaking(tasks, offer) : this.store.enqueue(tasks),
    );
    return tasks.map(() => earliest ?? -Infinity);
  }

  private async insertOnce(tasks: KeyedTask[]): Promise<StoredOnce[]> {
    try {
      const keepSeconds = this.options.idempotencyHours * 3_600;
      const { earliest, noted } = await this.storing((offer) => this.keys.enqueue(tasks, keepSeconds, offer));
      this.store.touchKeysOf(tasks);
      return noted.map((key) => ({ earliest: earliest ?? -Infinity, noted: key }));
    } catch (error) {
      if (tasks.length > 1 || !isLocked(error)) throw error;
      throw new QueueBusyError('somebody is just storing a task under this idempotency key: try again in a moment');
    }
  }

  private storing<T extends Stored>(store: (offer: Offer | undefined) => Promise<T>): Promise<T> {
    return this.claimer.offerWorkers(async (offer) => {
      for (let tried = 0; ; tried++) {
        try {
          const result = await store(offer);
          // A try whose answer was lost may have committed, and given tasks to the workers.
          const missed = offer && tried > 0 && result.earliest === null ? await this.store.claimedBy(offer.token) : [];
          this.database.stored();
          return { result, taken: [...result.taken, ...missed] };
        } catch (error) {
          if (!isDatabaseUnavailable(error)) throw error;
          const delay = RETRY_DELAYS_MS[tried];
          if (delay === undefined) {
            this.database.refused();
            throw error;
          }
          await sleep(delay);
        }
      }
    });
  }
}

type WhenFull = 'refuse' | 'wait';

const isLocked = (error: unknown) => sqlState(error) === LOCK_NOT_AVAILABLE;
const isKeyError = (error: unknown) => isDataError(error) || isLocked(error);

/** `isOfOne`: whether an error is about one task of the batch, and no other's fault. */

async function insertOrHalve<Task, Result>(
  tasks: Task[],
  insert: (tasks: Task[]) => Promise<Result[]>,
  isOfOne: (error: unknown) => boolean,
): Promise<(Result | Error)[]> {
  try {
    return await insert(tasks);
  } catch (error) {
    if (!isOfOne(error)) throw error;
    if (tasks.length === 1) return [error as Error];
    const middle = Math.ceil(tasks.length / 2);
    return [
      ...(await insertHalf(tasks.slice(0, middle), insert, isOfOne)),
      ...(await insertHalf(tasks.slice(middle), insert, isOfOne)),
    ];
  }
}

/** An error of one half is none of the other's, which may be stored. */
async function insertHalf<Task, Result>(
  tasks: Task[],
  insert: (tasks: Task[]) => Promise<Result[]>,
  isOfOne: (error: unknown) => boolean,
): Promise<(Result | Error)[]> {
  try {
    return await insertOrHalve(tasks, insert, isOfOne);
  } catch (error) {
    return tasks.map(() => (error instanceof Error ? error : new Error(String(error), { cause: error })));
  }
}
