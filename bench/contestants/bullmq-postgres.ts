import { createPostgresBackend, Queue, runMigrations, Worker } from 'bullmq';
import pg from 'pg';
import { count } from '../harness/store.ts';
import { BullMq, QUEUE, type Processor, type QueueLike, type WorkerLike } from './bullmq.ts';
import { copyRows } from '../harness/copy-rows.ts';
import { withoutAhead, type Setting } from './contestant.ts';

const SETTINGS: Record<Exclude<Setting, 'ahead'>, { concurrency: number; pool: number }> = {
  five: { concurrency: 5, pool: 10 },
  best: { concurrency: 20, pool: 10 },
  quick: { concurrency: 5, pool: 10 },
};

export default class BullMqPostgres extends BullMq {
  private pool!: pg.Pool;

  async unfinished(): Promise<number> {
    const inState = (state: string) => count(this.pool, `SELECT count(*) FROM bullmq.job WHERE state = '${state}'`);
    // A job goes from the one to the other: in this order none is missed.
    return (await inState('waiting')) + (await inState('active'));
  }

  finished(): Promise<number> {
    return count(this.pool, "SELECT count(*) FROM bullmq.job WHERE state = 'completed'");
  }

  async addFinished(copies: number): Promise<void> {
    const one = "id = (SELECT id FROM bullmq.job WHERE state = 'completed' LIMIT 1)";
    await copyRows(this.url, 'bullmq.job', one, copies, { id: "'copy-' || n" });
  }

  override async close(): Promise<void> {
    await super.close();
    await this.pool.end();
  }

  protected open(): void {
    this.pool = new pg.Pool({ connectionString: this.url, max: 1 });
  }

  protected async createQueue(): Promise<QueueLike> {
    const client = await this.pool.connect();
    await runMigrations(client).finally(() => client.release());
    return new Queue(QUEUE, { connection: { connectionString: this.url, max: 10 } }, createPostgresBackend);
  }

  protected createWorker(setting: Setting, processor: Processor): WorkerLike {
    const { concurrency, pool } = SETTINGS[withoutAhead(setting)];
    const connection = { connectionString: this.url, max: pool };
    return new Worker(QUEUE, processor, { connection, concurrency }, createPostgresBackend);
  }
}
