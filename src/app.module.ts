import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AuditModule } from './audit/audit.module.js';
import { AuthModule } from './auth/auth.module.js';
import { authEntities } from './auth/keys/api-key.entity.js';
import type { TlsMaterial } from './common/http/tls.js';
import { ProblemFilter } from './common/problem/problem.filter.js';
import { ConfigModule } from './config/config.module.js';
import { Settings } from './config/settings.js';
import { VERSION } from './config/version.js';
import { DatabaseModule } from './database/database.module.js';
import { GoldenPathsController } from './golden-paths/golden-paths.controller.js';
import { EventsModule } from './events/events.module.js';
import { GoldenPathsModule } from './golden-paths/golden-paths.module.js';
import { HealthModule } from './health/health.module.js';
import { queueEntities } from './queue/entities.js';
import { QueueModule } from './queue/queue.module.js';
import { LedgerStore } from './queue/store/ledger-store.js';
import { scheduleEntities } from './schedules/schedule.entity.js';
import { SchedulesModule } from './schedules/schedules.module.js';
import { ExecutionPlanner } from './specs/execution-planner.js';
import { SpecsController } from './specs/specs.controller.js';
import { SpecsModule } from './specs/specs.module.js';
import { SubmissionPlanner } from './specs/submission-planner.js';
import { TasksModule } from './tasks/tasks.module.js';
import { StepTypesController } from './workflows/step-types.controller.js';
import { WorkflowExecutor } from './workflows/workflow-executor.js';
import { WorkflowsModule } from './workflows/workflows.module.js';
import { webhookEntities } from './webhooks/webhook.entity.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';

export interface AppOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly adminToken: string;
  /** Certificate and key; without them the service speaks plain HTTP. */
  readonly tls?: TlsMaterial;
  /** Modules of others, with step types of their own. */
  readonly modules?: ModuleMetadata['imports'];
}

/** Wires the features together; the only place that knows them all. */
@Module({})
export class AppModule {
  static forRoot({ settings, databaseUrl, adminToken, modules = [] }: AppOptions): DynamicModule {
    const servesApi = settings.ROLE !== 'worker';
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(settings),
        DatabaseModule.forRoot({
          url: databaseUrl,
          poolSize: settings.DATABASE_POOL_SIZE,
          entities: [...queueEntities, ...scheduleEntities, ...webhookEntities, ...authEntities],
        }),
        AuthModule.forRoot({
          adminToken,
          ledger: LedgerStore,
          controller: servesApi,
          requestsPerMinute: settings.RATE_LIMIT_PER_MINUTE,
        }),
        QueueModule.forRootAsync({
          imports: [WorkflowsModule],
          handler: { useExisting: WorkflowExecutor },
          controller: servesApi,
          useFactory: () => ({
            workers: settings.ROLE === 'api' ? 0 : settings.QUEUE_WORKERS,
            leaseSeconds: settings.QUEUE_LEASE_SECONDS,
            maxCrashes: settings.MAX_CRASHES,
            pooler: settings.DATABASE_POOLER,
            capacity: settings.QUEUE_CAPACITY,
            maxPendingPerApp: settings.MAX_PENDING_PER_APP,
            idempotencyHours: settings.IDEMPOTENCY_KEY_HOURS,
            taskRetentionDays: settings.TASK_RETENTION_DAYS,
            ledgerRetentionDays: settings.LEDGER_RETENTION_DAYS,
            shutdownGraceSeconds: settings.SHUTDOWN_GRACE_SECONDS,
            cleanupSeconds: settings.CANCEL_CLEANUP_SECONDS,
            version: VERSION,
          }),
        }),
        WorkflowsModule,
        HealthModule,
        ...modules,
        // Whoever fires schedules plans tasks, and needs the catalogue for that.
        GoldenPathsModule,
        SpecsModule,
        SchedulesModule.forRoot({
          imports: [SpecsModule],
          planner: ExecutionPlanner,
          controller: servesApi,
          fires: settings.ROLE !== 'api',
        }),
        WebhooksModule.forRoot({
          imports: [WorkflowsModule],
          controller: servesApi,
          delivers: settings.ROLE !== 'api',
        }),
        ...(servesApi
          ? [TasksModule.forRoot({ imports: [SpecsModule], specReader: SubmissionPlanner }), EventsModule, AuditModule]
          : []),
      ],
      controllers: servesApi ? [GoldenPathsController, SpecsController, StepTypesController] : [],
      providers: [{ provide: APP_FILTER, useClass: ProblemFilter }],
    };
  }
}
