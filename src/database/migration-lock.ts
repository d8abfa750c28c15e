import { Logger } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';

/** Any number that no other program on the same database uses for an advisory lock. */
const MIGRATION_LOCK = 7_381_001;

/**
 * Its transaction idles while the migrations run, however long they take; PostgreSQL 17 can limit both. The statement has no
 * parameters: with some, it would keep its snapshot, and an index that is built concurrently waits for all of those.
 */
const TRY_LOCK = `
  SELECT set_config('idle_in_transaction_session_timeout', '0', true),
         CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL
              THEN set_config('transaction_timeout', '0', true) END,
         pg_try_advisory_xact_lock(${MIGRATION_LOCK}) AS locked`;
const IS_HELD = `
  SELECT EXISTS (SELECT FROM pg_locks
                 WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = ${MIGRATION_LOCK} AND granted) AS locked`;

/** The lock of all who migrate one database; it belongs to a transaction, in which nothing is written. */
export class MigrationLock {
  private readonly logger = new Logger('Database');
  private taken = false;

  constructor(private readonly runner: QueryRunner) {}

  /** Begins a transaction; true where it holds the lock. */
  async begin(): Promise<boolean> {
    await this.runner.startTransaction();
    this.taken = await this.ask(TRY_LOCK);
    return this.taken;
  }

  /** Never fails: where the connection has broken, the lock has gone with it, and what was done under it stands. */
  async end(): Promise<void> {
    if (this.taken && !(await this.ask(IS_HELD).catch(() => false))) {
      const msg =
        'The transaction that keeps other instances from migrating ended before the migrations did: ' +
        'another instance may have run them too. See what ended it (a limit on idle or long transactions of the server, ' +
        'of a pooler or of the network, or an operator), and exempt the role that migrates';
      this.logger.warn({ msg });
    }
    this.taken = false;
    if (this.runner.isTransactionActive) await this.runner.rollbackTransaction().catch(() => undefined);
  }

  private async ask(sql: string): Promise<boolean> {
    const [row] = (await this.runner.query(sql)) as { locked: boolean }[];
    return row!.locked;
  }
}
