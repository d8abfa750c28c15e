import { Module, type DynamicModule, type ModuleMetadata, type Provider, type Type } from '@nestjs/common';
import { AppLoad } from './app-load.js';
import { Backpressure } from './backpressure.js';
import { BulkOperations } from './bulk/bulk-operations.js';
import { BulkVerbs } from './bulk/bulk-verbs.js';
import { JobRunner } from './bulk/job-runner.js';
import { EnqueueBatcher } from './enqueue-batcher.js';
import { InstancesController } from './instances.controller.js';
import { InstancesService } from './instances.service.js';
import { Admitter } from './maintenance/admitter.js';
import { EventFollower } from './events/event-follower.js';
import { LedgerVerifier } from './ledger/verifier.js';
import { Maintenance } from './maintenance/maintenance.js';
import { Pauses } from './maintenance/pauses.js';
import { Promoter } from './maintenance/promoter.js';
import { Pruner } from './maintenance/pruner.js';
import { QueueWatch } from './maintenance/queue-watch.js';
import { Rescuer } from './maintenance/rescuer.js';
import { Sealer } from './maintenance/sealer.js';
import { Sweep } from './maintenance/sweep.js';
import { MetricsCollector } from './metrics-collector.js';
import { QUEUE_OPTIONS, resolveQueueOptions, type QueueOptions } from './queue-options.js';
import { QueueRuntime } from './queue-runtime.js';
import { PausesController } from './pauses.controller.js';
import { QueueController } from './queue.controller.js';
import { QueueService } from './queue.service.js';
import { DeadLetterStore } from './store/dead-letter-store.js';
import { IdempotencyStore } from './store/idempotency-store.js';
import { InstanceStore } from './store/instance-store.js';
import { JobStore } from './store/job-store.js';
import { JournalStore } from './store/journal-store.js';
import { LedgerReader } from './store/ledger-reader.js';
import { LedgerStore } from './store/ledger-store.js';
import { LineStore } from './store/line-store.js';
import { ListStore } from './store/list-store.js';
import { LogReader } from './store/log-reader.js';
import { QueueDatabase } from './store/queue-database.js';
import { RetentionStore } from './store/retention-store.js';
import { ScheduleTaskStore } from './store/schedule-task-store.js';
import { AuditStore } from './store/audit-store.js';
import { SealStore } from './store/seal-store.js';
import { StatsStore } from './store/stats-store.js';
import { TaskStore } from './store/task-store.js';
import { TaskHandler } from './task-handler.js';
import { Claimer } from './workers/claimer.js';
import { Heartbeat } from './workers/heartbeat.js';
import { StatusBatcher } from './workers/status-batcher.js';
import { WakeUps } from './workers/wake-ups.js';
import { WorkerPool } from './workers/worker-pool.js';

export interface QueueModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  readonly inject?: NonNullable<Extract<Provider, { useFactory: unknown }>['inject']>;
  readonly useFactory: (...injected: never[]) => QueueOptions | Promise<QueueOptions>;
  /** What runs the tasks: a class whose dependencies are found in `imports` and in this module. */
  readonly handler: Type<TaskHandler> | { readonly useExisting: Type<TaskHandler> };
  /** Serve `/api/queue/*`; off unless asked for. */
  readonly controller?: boolean;
}

/**
 * The queue, usable by any Nest application with a TypeORM data source for PostgreSQL on which the queue's migrations
 * have run.
 */
@Module({})
export class QueueModule {
  static forRootAsync(options: QueueModuleAsyncOptions): DynamicModule {
    const handler: Provider =
      'useExisting' in options.handler
        ? { provide: TaskHandler, useExisting: options.handler.useExisting }
        : { provide: TaskHandler, useClass: options.handler };
    return {
      module: QueueModule,
      global: true,
      imports: options.imports ?? [],
      controllers: options.controller ? [QueueController, PausesController, InstancesController] : [],
      providers: [
        {
          provide: QUEUE_OPTIONS,
          inject: options.inject ?? [],
          useFactory: async (...injected: never[]) => resolveQueueOptions(await options.useFactory(...injected)),
        },
        handler,
        QueueService,
        QueueRuntime,
        MetricsCollector,
        TaskStore,
        StatsStore,
        IdempotencyStore,
        InstancesService,
        InstanceStore,
        EnqueueBatcher,
        Backpressure,
        AppLoad,
        Claimer,
        WorkerPool,
        StatusBatcher,
        WakeUps,
        Maintenance,
        QueueWatch,
        Promoter,
        Admitter,
        Pauses,
        Rescuer,
        Sweep,
        Sealer,
        Pruner,
        Heartbeat,
        QueueDatabase,
        JournalStore,
        LedgerStore,
        LineStore,
        ListStore,
        LogReader,
        RetentionStore,
        ScheduleTaskStore,
        DeadLetterStore,
        BulkOperations,
        BulkVerbs,
        JobRunner,
        JobStore,
        LedgerVerifier,
        LedgerReader,
        EventFollower,
        AuditStore,
        SealStore,
      ],
      exports: [
        ...[QueueService, QueueRuntime, MetricsCollector, ListStore, LogReader, LedgerStore],
        ...[DeadLetterStore, BulkOperations, ScheduleTaskStore, InstancesService, LineStore],
        ...[LedgerReader, LedgerVerifier, AuditStore, EventFollower],
      ],
    };
  }
}
