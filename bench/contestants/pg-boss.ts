import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { count } from '../harness/store.ts';
import { PgBoss, type WorkOptions } from 'pg-boss';
import { copyRows } from '../harness/copy-rows.ts';
import type { Contestant, Handle, Payload, Role, Setting } from './contestant.ts';

const SETTINGS: Record<Setting, WorkOptions> = {
  // It fetches again at once only while it knows that many jobs wait; else it pauses for the polling interval.
  five: { localConcurrency: 5, batchSize: 1, pollingIntervalSeconds: 0.5, burstWhenReadyExceeds: 1 },
  // The handler runs a batch one after the other, so these are five at once as well.
  ahead: { localConcurrency: 5, batchSize: 100, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
  best: { localConcurrency: 2, batchSize: 2_000, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
  quick: { localConcurrency: 5, batchSize: 1, pollingIntervalSeconds: 0.5 },
};

/** So that it soon knows how many jobs wait. */
const STATISTICS = { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1, queueCacheIntervalSeconds: 1 };

const QUEUE = 'bench';

export default class PgBossContestant implements Contestant {
  private url = '';
  private pool!: pg.Pool;
  private front: PgBoss | undefined;
  private worker: PgBoss | undefined;

  async connect(url: string, role: Role): Promise<void> {
    this.url = url;
    this.pool = new pg.Pool({ connectionString: url, max: 1 });
    if (role === 'worker') return;
    this.front = await this.start({});
    await this.front.createQueue(QUEUE);
  }

  enqueue(payload: Payload): Promise<unknown> {
    return this.front!.send(QUEUE, payload);
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return this.front!.insert(QUEUE, payloads.map((data) => ({ data }))); // prettier-ignore
  }

  async startWorkers(setting: Setting, handle: Handle): Promise<void> {
    const useListenNotify = setting === 'quick';
    this.worker = await this.start({ useListenNotify, ...STATISTICS });
    if (useListenNotify) await this.worker.updateQueue(QUEUE, { notify: true });
    await this.worker.supervise(QUEUE);
    // The time it takes until the instances have read what was just written about the queue.
    await delay(1_500);
    await this.worker.work<Payload>(QUEUE, SETTINGS[setting], async (jobs) => {
      for (const { data } of jobs) await handle(data);
    });
  }

  async stopWorkers(): Promise<void> {
    await this.worker?.stop({ graceful: true });
    this.worker = undefined;
  }

  unfinished(): Promise<number> {
    // As the package's own index wants it, since counting must not take long among a million finished jobs.
    const live = "state IN ('created', 'retry', 'active')";
    return count(this.pool, `SELECT count(*) FROM pgboss.job WHERE name = '${QUEUE}' AND ${live}`);
  }

  finished(): Promise<number> {
    return count(this.pool, `SELECT count(*) FROM pgboss.job WHERE name = '${QUEUE}' AND state = 'completed'`);
  }

  async addFinished(copies: number): Promise<void> {
    const one = `id = (SELECT id FROM pgboss.job WHERE name = '${QUEUE}' AND state = 'completed' LIMIT 1)`;
    await copyRows(this.url, 'pgboss.job', one, copies, { id: 'gen_random_uuid()' });
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.front?.stop({ graceful: false });
    await this.pool.end();
  }

  private async start(options: object): Promise<PgBoss> {
    const boss = new PgBoss({ connectionString: this.url, max: 10, queueCacheIntervalSeconds: 1, ...options });
    boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
    await boss.start();
    return boss;
  }
}
