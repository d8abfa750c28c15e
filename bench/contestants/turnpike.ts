import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import { copyRows } from '../harness/copy-rows.ts';
import { count } from '../harness/store.ts';
import { DatabaseModule, queueEntities, QueueModule, QueueService, TaskHandler } from './turnpike-package.ts';
import type { QueueOptions, TaskOutcome, TaskRun } from './turnpike-package.ts';
import type { Contestant, Handle, Payload, Role, Setting } from './contestant.ts';

const SETTINGS: Record<Setting, QueueOptions> = {
  five: { workers: 5 },
  ahead: { workers: 5, prefetch: 500 },
  best: { workers: 100, prefetch: 2_000 },
  quick: { workers: 5 },
};

const COMPLETED: TaskOutcome = { status: 'completed' };

export default class Turnpike implements Contestant {
  private url = '';
  private pool!: pg.Pool;
  /** Enqueues only, until workers start: as an instance that serves HTTP beside others that work. */
  private front: INestApplicationContext | undefined;
  private worker: INestApplicationContext | undefined;
  private queue!: QueueService;

  async connect(url: string, role: Role): Promise<void> {
    this.url = url;
    this.pool = new pg.Pool({ connectionString: url, max: 1 });
    if (role === 'worker') return;
    this.front = await this.start({ workers: 0 }, () => undefined);
    this.queue = this.front.get(QueueService);
  }

  enqueue(payload: Payload): Promise<unknown> {
    return this.queue.enqueue(newTask(payload));
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return this.queue.enqueueMany(payloads.map(newTask));
  }

  async startWorkers(setting: Setting, handle: Handle): Promise<void> {
    this.worker = await this.start(SETTINGS[setting], handle);
    this.queue = this.worker.get(QueueService);
  }

  async stopWorkers(): Promise<void> {
    if (this.front) this.queue = this.front.get(QueueService);
    await this.worker?.close();
    this.worker = undefined;
  }

  unfinished(): Promise<number> {
    const tables = ['queue_ready', 'queue_blocked', 'queue_leases'];
    return count(this.pool, `SELECT ${tables.map((table) => `(SELECT count(*) FROM ${table})`).join(' + ')}`);
  }

  finished(): Promise<number> {
    return count(this.pool, "SELECT count(*) FROM queue_tasks WHERE status = 'completed'");
  }

  async addFinished(copies: number): Promise<void> {
    const one = "task_id = (SELECT min(task_id) FROM queue_tasks WHERE status = 'completed')";
    const task_id = "'task-copy-' || n";
    const id = "nextval('queue_task_events_id_seq')";
    await copyRows(this.url, 'queue_task_events', one, copies, { id, task_id });
    await copyRows(this.url, 'queue_tasks', one, copies, { task_id });
    // What the ledger's trigger would have counted.
    await this.pool.query(
      `INSERT INTO queue_counters (completed, tasks_enqueued, tasks_started, tasks_completed, runs_ended)
       VALUES ($1, $1, $1, $1, $1)`,
      [copies],
    );
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.front?.close();
    await this.pool.end();
  }

  private start(options: QueueOptions, handle: Handle): Promise<INestApplicationContext> {
    class Handler extends TaskHandler {
      async handle(run: TaskRun): Promise<TaskOutcome> {
        await handle(run.task.workflowSpec as unknown as Payload);
        return COMPLETED;
      }
    }
    class BenchModule {}
    const imports = [
      DatabaseModule.forRoot({ url: this.url, poolSize: 10, entities: queueEntities }),
      // Fills are larger than a queue would be let grow.
      QueueModule.forRootAsync({ handler: Handler, useFactory: () => ({ capacity: Infinity, ...options }) }),
    ];
    // Nest logs several lines a task at 'log'; nobody else's lines are printed either.
    return NestFactory.createApplicationContext({ module: BenchModule, imports }, { logger: ['warn', 'error'] });
  }
}

function newTask(payload: Payload) {
  return {
    appName: 'bench',
    workflowName: 'no-op',
    workflowSpec: payload as unknown as Record<string, unknown>,
    metadata: { user: 'bench' },
    ...(payload.key !== undefined && { concurrency: { key: payload.key } }),
  };
}
