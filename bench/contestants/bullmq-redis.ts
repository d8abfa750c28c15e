import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { BullMq, QUEUE, type Processor, type QueueLike, type WorkerLike } from './bullmq.ts';
import { withoutAhead, type Setting } from './contestant.ts';

const CONCURRENCY: Record<Exclude<Setting, 'ahead'>, number> = { five: 5, best: 200, quick: 5 };

const key = (name: string) => `bull:${QUEUE}:${name}`;

export default class BullMqRedis extends BullMq {
  private redis!: Redis;

  async unfinished(): Promise<number> {
    // A job goes from the one to the other: in this order none is missed.
    return (await this.redis.llen(key('wait'))) + (await this.redis.llen(key('active')));
  }

  finished(): Promise<number> {
    return this.redis.zcard(key('completed'));
  }

  override async close(): Promise<void> {
    await super.close();
    this.redis.disconnect();
  }

  protected open(): void {
    this.redis = new Redis(this.url);
  }

  protected async createQueue(): Promise<QueueLike> {
    return new Queue(QUEUE, { connection: { url: this.url } });
  }

  protected createWorker(setting: Setting, processor: Processor): WorkerLike {
    const connection = { url: this.url, maxRetriesPerRequest: null };
    return new Worker(QUEUE, processor, { connection, concurrency: CONCURRENCY[withoutAhead(setting)] });
  }
}
