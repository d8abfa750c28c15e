import { Test, type TestingModule } from '@nestjs/testing';
import { DatabaseModule } from '../../src/database/database.module.js';
import { queueEntities } from '../../src/queue/entities.js';
import type { QueueOptions } from '../../src/queue/queue-options.js';
import { QueueModule } from '../../src/queue/queue.module.js';
import { QueueService } from '../../src/queue/queue.service.js';
import { TaskHandler, type TaskOutcome, type TaskRun } from '../../src/queue/task-handler.js';

/** A handler that a test steers: each run is announced, and ends as the test says (or at once, by `behaviour`). */
export class SteeredHandler extends TaskHandler {
  readonly runs: TaskRun[] = [];
  private waiters: (() => void)[] = [];

  constructor(public behaviour: (run: TaskRun) => Promise<TaskOutcome> = async () => ({ status: 'completed' })) {
    super();
  }

  handle(run: TaskRun): Promise<TaskOutcome> {
    this.runs.push(run);
    this.waiters.splice(0).forEach((wake) => wake());
    return this.behaviour(run);
  }

  /** Resolves with the n-th run (from 1) as soon as it begins. */
  async run(n: number): Promise<TaskRun> {
    while (this.runs.length < n) await new Promise<void>((resolve) => this.waiters.push(resolve));
    return this.runs[n - 1]!;
  }
}

/** Ends when its signal is aborted. */
export const untilAborted = (run: TaskRun): Promise<TaskOutcome> =>
  new Promise((resolve) => run.signal.addEventListener('abort', () => resolve({ status: 'aborted' })));

const SILENT = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface QueueInstance {
  readonly module: TestingModule;
  readonly queue: QueueService;
  readonly handler: SteeredHandler;
  close(): Promise<void>;
}

/** One instance of the queue on a test's database, started. Short lease and poll, so that tests see both soon. */
export async function startQueue(
  url: string,
  { handler = new SteeredHandler(), ...options }: QueueOptions & { handler?: SteeredHandler } = {},
): Promise<QueueInstance> {
  class Handler extends TaskHandler {
    handle(run: TaskRun): Promise<TaskOutcome> {
      return handler.handle(run);
    }
  }
  const module = await Test.createTestingModule({
    imports: [
      DatabaseModule.forRoot({ url, poolSize: 5, entities: queueEntities }),
      QueueModule.forRootAsync({
        handler: Handler,
        useFactory: () => ({ leaseSeconds: 3, pollSeconds: 0.2, shutdownGraceSeconds: 5, version: 'test', ...options }),
      }),
    ],
  })
    .setLogger(SILENT)
    .compile();
  await module.init();
  return { module, queue: module.get(QueueService), handler, close: () => module.close() };
}

/** A task of no particular interest. */
export const aTask = (changes: Partial<Parameters<QueueService['enqueue']>[0]> = {}) => ({
  appName: 'demo-app',
  workflowName: 'golden-path-deploy-app',
  workflowSpec: { steps: [] },
  metadata: { user: 'tester' },
  ...changes,
});
