import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { DataSource, type DataSourceOptions, type Migration, MigrationExecutor } from 'typeorm';
import { readDatabaseUrl } from './hosts/database-url.js';
import { primaryClient } from './hosts/primary-client.js';
import { PrimaryWatch } from './hosts/primary-watch.js';
import { LockPatience, PATIENCE_MS } from './lock-patience.js';
import { MigrationLock } from './migration-lock.js';
import { Queue1763800000000 } from './migrations/1763800000000-queue.js';
import { TaskLists1763900000000 } from './migrations/1763900000000-task-lists.js';
import { Prefetch1764000000000 } from './migrations/1764000000000-prefetch.js';
import { JoinedTransitions1764100000000 } from './migrations/1764100000000-joined-transitions.js';
import { WaitingSteps1764200000000 } from './migrations/1764200000000-waiting-steps.js';
import { KeysAndPauses1764250000000 } from './migrations/1764250000000-keys-and-pauses.js';
import { Schedules1764300000000 } from './migrations/1764300000000-schedules.js';
import { JoinedSteps1764350000000 } from './migrations/1764350000000-joined-steps.js';
import { DeadLetters1764400000000 } from './migrations/1764400000000-dead-letters.js';
import { Cancel1764500000000 } from './migrations/1764500000000-cancel.js';
import { Idempotency1764600000000 } from './migrations/1764600000000-idempotency.js';
import { Promises1764700000000 } from './migrations/1764700000000-promises.js';
import { Seals1764800000000 } from './migrations/1764800000000-seals.js';
import { Webhooks1764900000000 } from './migrations/1764900000000-webhooks.js';
import { Retention1765000000000 } from './migrations/1765000000000-retention.js';
import { WebhookLanes1765100000000 } from './migrations/1765100000000-webhook-lanes.js';
import { ApiKeys1765500000000 } from './migrations/1765500000000-api-keys.js';
import { ScheduleWriters1765700000000 } from './migrations/1765700000000-schedule-writers.js';

const LOCK_POLL_MS = 100;

export const migrations = [
  Queue1763800000000,
  TaskLists1763900000000,
  Prefetch1764000000000,
  JoinedTransitions1764100000000,
  WaitingSteps1764200000000,
  KeysAndPauses1764250000000,
  Schedules1764300000000,
  JoinedSteps1764350000000,
  DeadLetters1764400000000,
  Cancel1764500000000,
  Idempotency1764600000000,
  Promises1764700000000,
  Seals1764800000000,
  Webhooks1764900000000,
  Retention1765000000000,
  WebhookLanes1765100000000,
  ApiKeys1765500000000,
  ScheduleWriters1765700000000,
];

export function dataSourceOptions(address: string, poolSize = 10) {
  const { url, hosts, connectTimeoutMs } = readDatabaseUrl(address);
  return {
    type: 'postgres',
    url,
    poolSize,
    applicationName: 'turnpike',
    // With several hosts: to find the primary among them, and to connect to it.
    connectTimeoutMS: Math.max(5_000, 2 * connectTimeoutMs),
    // The pool's own way to other clients than those of `pg`; the queue's connections beside the pool go by it too.
    extra: hosts.length > 0 ? { Client: primaryClient(PrimaryWatch.over({ url, hosts, connectTimeoutMs })) } : {},
    installExtensions: false,
    migrations,
    migrationsTableName: 'turnpike_migrations',
    // No lock is held from one to the next.
    migrationsTransactionMode: 'each',
    // A broken idle connection is replaced by the pool; whoever uses one gets the error itself.
    poolErrorHandler: () => undefined,
  } as const satisfies DataSourceOptions;
}

/**
 * A data source whose migrations run under one advisory lock, so that instances that boot together on an empty database
 * do not race; the TypeORM CLI goes the same way.
 *
 * The lock belongs to a transaction, which holds its session behind PgBouncer in transaction mode too. Whoever does not get
 * it lets its transaction go, and tries again: those who wait must not take up the sessions that the migrations need.
 */
export class TurnpikeDataSource extends DataSource {
  private readonly patience = new LockPatience();

  /** For how long in all a migration tries to lock what it changes. */
  constructor(
    options: DataSourceOptions,
    private readonly patienceMs = PATIENCE_MS,
  ) {
    super(options);
    // In the form of all other lines; the TypeORM CLI brings a logger of its own.
    this.logger.logMigration = (message) => new Logger('Database').log(message);
  }

  override runMigrations(options?: Parameters<DataSource['runMigrations']>[0]): Promise<Migration[]> {
    let pending: Migration[] | undefined;
    return this.locked(async () => {
      // What a try has applied, the next one finds done.
      pending ??= await new MigrationExecutor(this).getPendingMigrations();
      await super.runMigrations(options);
      return pending;
    });
  }

  override undoLastMigration(options?: Parameters<DataSource['undoLastMigration']>[0]): Promise<void> {
    return this.locked(() => super.undoLastMigration(options));
  }

  /** Migrations in the database that this version does not know: a later one has been here. */
  async unknownMigrations(): Promise<string[]> {
    const known = this.migrations.map((migration) => migration.name ?? migration.constructor.name);
    const executed = await new MigrationExecutor(this).getExecutedMigrations();
    return executed
      .map(({ name }) => name)
      .filter((name) => !known.includes(name))
      .reverse();
  }

  protected override async buildMetadatas(): Promise<void> {
    await super.buildMetadatas();
    const limited = this.migrations.map((migration) => this.patience.limit(migration));
    Object.assign(this, { migrations: limited });
  }

  private async locked<T>(work: () => Promise<T>): Promise<T> {
    const runner = this.createQueryRunner();
    const lock = new MigrationLock(runner);
    try {
      while (!(await lock.begin())) {
        await runner.rollbackTransaction();
        await delay(LOCK_POLL_MS);
      }
      return await this.patience.run(work, runner, this.patienceMs);
    } finally {
      await lock.end();
      await runner.release();
    }
  }
}
