import { Logger, makeWorkerUtils, run, type Runner, type WorkerUtils } from 'graphile-worker';
import pg from 'pg';
import { count } from '../harness/store.ts';
import type { Contestant, Handle, Payload, Role, Setting } from './contestant.ts';

const SETTINGS: Record<Setting, GraphileConfig.Preset['worker']> = {
  five: { concurrentJobs: 5, maxPoolSize: 10 },
  ahead: {
    concurrentJobs: 5,
    maxPoolSize: 10,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
  best: {
    concurrentJobs: 24,
    maxPoolSize: 10,
    localQueue: { size: 2_000 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
  quick: { concurrentJobs: 5, maxPoolSize: 10 },
};

const TASK = 'no-op';
const silent = new Logger(() => () => undefined);

export default class GraphileWorker implements Contestant {
  private url = '';
  private pool!: pg.Pool;
  private utils: WorkerUtils | undefined;
  private runner: Runner | undefined;

  async connect(url: string, role: Role): Promise<void> {
    this.url = url;
    this.pool = new pg.Pool({ connectionString: url, max: 1 });
    if (role === 'worker') return;
    this.utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: 10, logger: silent });
    await this.utils.migrate();
  }

  enqueue(payload: Payload): Promise<unknown> {
    return this.utils!.addJob(TASK, payload);
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return this.utils!.addJobs(payloads.map((payload) => ({ identifier: TASK, payload })));
  }

  async startWorkers(setting: Setting, handle: Handle): Promise<void> {
    this.runner = await run({
      preset: { worker: { connectionString: this.url, logger: silent, ...SETTINGS[setting] } },
      noHandleSignals: true,
      taskList: { [TASK]: (payload) => handle(payload as Payload) },
    });
  }

  async stopWorkers(): Promise<void> {
    await this.runner?.stop();
    this.runner = undefined;
  }

  unfinished(): Promise<number> {
    return count(this.pool, 'SELECT count(*) FROM graphile_worker._private_jobs');
  }

  async finished(): Promise<undefined> {}

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.utils?.release();
    await this.pool.end();
  }
}
