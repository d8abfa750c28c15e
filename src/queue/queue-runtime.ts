import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { EnqueueBatcher } from './enqueue-batcher.js';
import { Admitter } from './maintenance/admitter.js';
import { Maintenance } from './maintenance/maintenance.js';
import { Pruner } from './maintenance/pruner.js';
import { QueueWatch } from './maintenance/queue-watch.js';
import { Sealer } from './maintenance/sealer.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from './queue-options.js';
import { Claimer } from './workers/claimer.js';
import { Heartbeat } from './workers/heartbeat.js';
import { dueInOf, earliestOf, WakeUps } from './workers/wake-ups.js';
import { WorkerPool } from './workers/worker-pool.js';

/** Starts the engine when the application is up, and drains it while the application still answers. */
@Injectable()
export class QueueRuntime implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger = new Logger('Queue');
  private readonly hurry = new AbortController();
  private drained: Promise<void> | undefined;

  constructor(
    private readonly heartbeat: Heartbeat,
    private readonly claimer: Claimer,
    private readonly pool: WorkerPool,
    private readonly maintenance: Maintenance,
    private readonly admitter: Admitter,
    private readonly sealer: Sealer,
    private readonly pruner: Pruner,
    private readonly wakeUps: WakeUps,
    private readonly enqueues: EnqueueBatcher,
    private readonly watch: QueueWatch,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  get draining(): boolean {
    return this.drained !== undefined;
  }

  async onApplicationBootstrap(): Promise<void> {
    this.admitter.onAdmitted((earliest) => {
      this.claimer.wake(earliest);
      this.wakeUps.sendReady(earliest);
    });
    if (this.options.pooler === 'transaction')
      this.logger.log('Behind a pooler in transaction mode: polling, no notifications');
    if (this.options.workers === 0) {
      void this.wakeUps.tryListening();
      return this.watch.start();
    }
    await this.heartbeat.start(this.claimer);
    this.wakeUps.onWakeUp((wakeUp) => {
      const earliest = earliestOf(wakeUp);
      const dueIn = dueInOf(wakeUp);
      if (earliest !== undefined) this.claimer.wake(earliest);
      else if (wakeUp.startsWith('key:')) this.admitter.admit([wakeUp.slice('key:'.length)]);
      else if (dueIn !== undefined) this.maintenance.lookIn(dueIn);
      else if (/^(cancel|instance):(.*)$/.exec(wakeUp)?.[2] === this.heartbeat.instanceId)
        void this.heartbeat.beatNow();
    });
    this.maintenance.onFreed(() => this.claimer.wake());
    this.claimer.start();
    await this.maintenance.start();
    this.sealer.start();
    this.pruner.start();
    this.logger.log({
      msg: `Async workflow queue initialized with ${this.options.workers} workers`,
      workers: this.options.workers,
      worker_id: this.heartbeat.instanceId,
    });
  }

  async onModuleDestroy(): Promise<void> {
    await this.drain();
  }

  /** HTTP has closed by now: nothing can be enqueued any more. */
  async onApplicationShutdown(): Promise<void> {
    await this.enqueues.idle();
    await this.admitter.idle();
    this.watch.stop();
    await this.wakeUps.stop();
  }

  drain(): Promise<void> {
    this.drained ??= this.drainOnce();
    return this.drained;
  }

  /** Ends the grace time of a drain now. */
  drainNow(): void {
    this.hurry.abort();
  }

  private async drainOnce(): Promise<void> {
    if (this.options.workers === 0) return;
    await this.heartbeat.startDraining();
    await this.claimer.stop();
    await this.pool.handBackPrefetched();
    if (this.options.prefetch > 0) this.wakeUps.sendReady(); // their promises are below every floor
    const idle = this.pool.idle();
    const running = this.pool.keys().size;
    if (running > 0) {
      const graceSeconds = this.options.shutdownGraceSeconds;
      this.logger.log({ msg: 'Draining: waiting for running tasks', tasks: running, grace_seconds: graceSeconds });
      const grace = sleep(graceSeconds * 1_000, undefined, { signal: this.hurry.signal }).catch(() => undefined);
      await Promise.race([idle, grace]);
      this.hurry.abort(); // else the timer of the grace time would keep the process
      this.pool.abortAll('shutdown');
    }
    await idle;
    await this.maintenance.stop();
    await this.sealer.stop();
    await this.pruner.stop();
    const worker_id = this.heartbeat.instanceId;
    await this.heartbeat.stop();
    this.logger.log({ msg: 'Drained', worker_id });
  }
}
