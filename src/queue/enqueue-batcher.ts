import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../common/problem/database-errors.js';
import { Batcher } from './batcher.js';
import type { EncodedTask } from './new-task.js';
import { isDataError } from './store/queue-database.js';
import { TaskStore, type Offer } from './store/task-store.js';
import { Claimer } from './workers/claimer.js';

/** What one process holds of tasks that are not stored yet; more than a second's worth at full speed. */
const MAX_WAITING_TASKS = 20_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** This process already holds as many tasks as it will that the database has not taken yet. */
export class QueueBusyError extends Error {
  constructor() {
    super('tasks come faster than the database stores them: try again in a moment');
    this.name = 'QueueBusyError';
  }
}

const RETRY_DELAYS_MS = [20, 100, 400];

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
  private readonly batcher = new Batcher<EncodedTask, number>((tasks) => this.insertOrHalve(tasks), {
    maxBatch: 500,
    maxWeight: 8 * 1024 * 1024,
    weigh: (task) => task.json.length,
    inFlight: 2,
  });

  constructor(
    private readonly store: TaskStore,
    private readonly claimer: Claimer,
  ) {}

  /**
   * Resolves, when the task is committed, with a time before which no task of its batch that waits is promised to start:
   * milliseconds of the epoch, Infinity where idle workers have taken all of it. Where there is no room for it: waits, or throws QueueBusyError.
   */
  async enqueue(task: EncodedTask, whenFull: 'refuse' | 'wait' = 'refuse'): Promise<number> {
    const bytes = Buffer.byteLength(task.json);
    if (this.hasRoomFor(bytes)) this.admit(bytes);
    else if (whenFull === 'refuse') throw new QueueBusyError();
    else await new Promise<void>((admitted) => this.roomWaiters.push({ bytes, admitted }));
    try {
      return await this.batcher.add(task);
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

  idle(): Promise<void> {
    return this.batcher.idle();
  }

  private async insertOrHalve(tasks: EncodedTask[]): Promise<(number | Error)[]> {
    try {
      const earliest = await this.insert(tasks);
      return tasks.map(() => earliest);
    } catch (error) {
      if (!isDataError(error)) throw error;
      if (tasks.length === 1) return [error as Error];
      const middle = Math.ceil(tasks.length / 2);
      return [...(await this.insertHalf(tasks.slice(0, middle))), ...(await this.insertHalf(tasks.slice(middle)))];
    }
  }

  /** An error of one half is none of the other's, which may be stored. */
  private async insertHalf(tasks: EncodedTask[]): Promise<(number | Error)[]> {
    try {
      return await this.insertOrHalve(tasks);
    } catch (error) {
      return tasks.map(() => (error instanceof Error ? error : new Error(String(error), { cause: error })));
    }
  }

  private insert(tasks: EncodedTask[]): Promise<number> {
    return this.claimer.offerWorkers((offer) => this.insertFor(tasks, offer));
  }

  private async insertFor(tasks: EncodedTask[], offer: Offer | undefined) {
    for (let tried = 0; ; tried++) {
      try {
        const { earliest, taken } = await (offer ? this.store.enqueueTaking(tasks, offer) : this.store.enqueue(tasks));
        // A try whose answer was lost may have committed, and given tasks to the workers.
        const missed = offer && earliest === null ? await this.store.claimedBy(offer.token) : [];
        return { result: earliest ?? -Infinity, taken: [...taken, ...missed] };
      } catch (error) {
        const delay = RETRY_DELAYS_MS[tried];
        if (delay === undefined || !isDatabaseUnavailable(error)) throw error;
        await sleep(delay);
      }
    }
  }
}
