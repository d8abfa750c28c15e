import type { ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { DatabaseModule } from '../../src/database/database.module.js';
import { queueEntities } from '../../src/queue/entities.js';
import { MetricsCollector } from '../../src/queue/metrics-collector.js';
import type { QueueOptions } from '../../src/queue/queue-options.js';
import { QueueRuntime } from '../../src/queue/queue-runtime.js';
import { QueueModule } from '../../src/queue/queue.module.js';
import { QueueService } from '../../src/queue/queue.service.js';
import { TaskStore } from '../../src/queue/store/task-store.js';
import { TaskHandler, type TaskOutcome, type TaskRun } from '../../src/queue/task-handler.js';
import { scheduleEntities } from '../../src/schedules/schedule.entity.js';
import { Heartbeat } from '../../src/queue/workers/heartbeat.js';
import { until } from './until.js';
import { webhookEntities } from '../../src/webhooks/webhook.entity.js';

export type Behaviour = (run: TaskRun) => Promise<TaskOutcome>;

/** A handler that a test steers: each run is announced, and ends as the test says (or at once, by `behaviour`). */
export class SteeredHandler extends TaskHandler {
  readonly runs: TaskRun[] = [];
  /** Whether its tasks have something to clean up. */
  cleans = false;

  constructor(public behaviour: Behaviour = completes) {
    super();
  }

  handle(run: TaskRun): Promise<TaskOutcome> {
    this.runs.push(run);
    return this.behaviour(run);
  }

  /** Resolves with the n-th run (from 1) as soon as it begins. */
  async run(n: number): Promise<TaskRun> {
    const what = () => `run ${n} begins (there were ${this.runs.length})`;
    await until(what, () => this.runs.length >= n, { everyMs: 2 });
    return this.runs[n - 1]!;
  }

  /** How often each task was run, by its id. */
  get counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { task } of this.runs) counts.set(task.taskId, (counts.get(task.taskId) ?? 0) + 1);
    return counts;
  }
}

export const completes: Behaviour = async () => ({ status: 'completed' });

/** Ends when its signal is aborted. */
export const untilAborted: Behaviour = (run) =>
  new Promise((resolve) => run.signal.addEventListener('abort', () => resolve({ status: 'aborted' })));

/** A failure of a step, worth another try. */
export const failure = (errorMessage: string) =>
  ({ status: 'failed', cause: 'step_failed', errorMessage, retryable: true }) as const satisfies TaskOutcome;

/** Holds runs until the test opens it. `hold` gives way to an abort; `holdDeaf` takes no notice of one. */
export class Gate {
  private open!: (outcome: TaskOutcome) => void;
  private readonly opened = new Promise<TaskOutcome>((resolve) => (this.open = resolve));

  readonly hold: Behaviour = (run) => Promise.race([this.opened, untilAborted(run)]);
  readonly holdDeaf: Behaviour = () => this.opened;

  release(outcome: TaskOutcome = { status: 'completed' }): void {
    this.open(outcome);
  }
}

/** Resolves with the reason as soon as the run is told to stop. */
export async function abortion(run: TaskRun): Promise<unknown> {
  await until(`the run of ${run.task.taskId} is aborted`, () => run.signal.aborted, { everyMs: 2 });
  return run.signal.reason;
}

const SILENT = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface QueueInstance {
  readonly module: TestingModule;
  readonly queue: QueueService;
  readonly handler: SteeredHandler;
  readonly store: TaskStore;
  readonly metrics: MetricsCollector;
  /** The id of this life of the instance; '' while it has none. */
  readonly id: string;
  close(): Promise<void>;
  /** Closes without waiting for runs: they are told to stop at once. */
  closeNow(): Promise<void>;
}

export type InstanceOptions = QueueOptions & {
  handler?: SteeredHandler;
  behaviour?: Behaviour;
  /** What stands upon the queue. */
  imports?: ModuleMetadata['imports'];
};

/** One instance of the queue on a test's database, started. Short lease and poll, so that tests see both soon. */
export async function startQueue(
  url: string,
  { behaviour, handler = new SteeredHandler(behaviour), imports = [], ...options }: InstanceOptions = {},
): Promise<QueueInstance> {
  class Handler extends TaskHandler {
    handle(run: TaskRun): Promise<TaskOutcome> {
      return handler.handle(run);
    }

    override cleansUp(): boolean {
      return handler.cleans;
    }
  }
  const module = await Test.createTestingModule({
    imports: [
      DatabaseModule.forRoot({
        url,
        poolSize: 5,
        entities: [...queueEntities, ...scheduleEntities, ...webhookEntities],
      }),
      QueueModule.forRootAsync({
        handler: Handler,
        useFactory: () => ({ leaseSeconds: 3, pollSeconds: 0.2, shutdownGraceSeconds: 5, version: 'test', ...options }),
      }),
      ...imports,
    ],
  })
    .setLogger(SILENT)
    .compile();
  await module.init();
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= module.close());
  return {
    module,
    queue: module.get(QueueService),
    handler,
    store: module.get(TaskStore),
    metrics: module.get(MetricsCollector),
    get id() {
      return module.get(Heartbeat).instanceId;
    },
    close,
    closeNow: () => {
      module.get(QueueRuntime).drainNow();
      return close();
    },
  };
}

/** A task of no particular interest. */
export const aTask = (changes: Partial<Parameters<QueueService['enqueue']>[0]> = {}) => ({
  appName: 'demo-app',
  workflowName: 'golden-path-deploy-app',
  workflowSpec: { steps: [] },
  metadata: { user: 'tester' },
  ...changes,
});
