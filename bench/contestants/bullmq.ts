import type { Job } from 'bullmq';
import type { Contestant, Handle, Payload, Role, Setting } from './contestant.ts';

export const QUEUE = 'bench';
export const TASK = 'no-op';

/** What this bench uses of BullMQ's classes, which are typed by their backend. */
export interface QueueLike {
  add(name: string, data: Payload): Promise<unknown>;
  addBulk(jobs: { name: string; data: Payload }[]): Promise<unknown>;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<unknown>;
}

export interface WorkerLike {
  waitUntilReady(): Promise<unknown>;
  close(): Promise<unknown>;
}

export type Processor = (job: Job<Payload>) => Promise<void>;

/** The same on Redis and on PostgreSQL. */
export abstract class BullMq implements Contestant {
  protected url = '';
  private queue: QueueLike | undefined;
  private worker: WorkerLike | undefined;

  /** A connection for this bench's own questions. */
  protected abstract open(): void;
  protected abstract createQueue(): Promise<QueueLike>;
  protected abstract createWorker(setting: Setting, processor: Processor): WorkerLike;
  abstract unfinished(): Promise<number>;
  abstract finished(): Promise<number>;

  async connect(url: string, role: Role): Promise<void> {
    this.url = url;
    this.open();
    if (role === 'worker') return;
    this.queue = await this.createQueue();
    await this.queue.waitUntilReady();
  }

  enqueue(payload: Payload): Promise<unknown> {
    return this.queue!.add(TASK, payload);
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return this.queue!.addBulk(payloads.map((data) => ({ name: TASK, data })));
  }

  async startWorkers(setting: Setting, handle: Handle): Promise<void> {
    this.worker = this.createWorker(setting, async ({ data }) => handle(data));
    await this.worker.waitUntilReady();
  }

  async stopWorkers(): Promise<void> {
    await this.worker?.close();
    this.worker = undefined;
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.queue?.close();
  }
}
