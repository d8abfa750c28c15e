import { Logger } from '@nestjs/common';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The first wait for a lock; each that follows is twice as long. What comes for the same table meanwhile queues behind it. */
const FIRST_WAIT_MS = 300;
/** Longer than deadlock_timeout: only a wait of that length makes PostgreSQL end an autovacuum that holds the lock. */
const LONGEST_WAIT_MS = 1_500;
/** Between two waits, all that queued goes on. */
const PAUSE_MS = 1_000;
export const PATIENCE_MS = 60_000;

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK = '40P01';

/** Somebody held what a migration changes, for as long as it tried. */
export class MigrationLockError extends Error {
  constructor(patienceMs: number, holders: string, cause: unknown) {
    super(
      `a migration could not lock what it changes within ${patienceMs / 1_000} seconds (${(cause as Error).message}); ` +
        `${holders || 'no transaction open for long is in sight'}. ` +
        'Wait until they end, or end them (SELECT pg_terminate_backend(<pid>)), and start again: what was applied stays.',
      { cause },
    );
    this.name = 'MigrationLockError';
  }
}

/**
 * Migrations wait for locks in short tries. Whoever waits for a table's strongest lock stands before all who come after it:
 * behind one long transaction a migration without a limit would stop the queue. Each try is a transaction of its own, which
 * leaves nothing open in between; migrations that were committed before are not repeated.
 *
 * What runs outside a transaction (`transaction = false`) waits without a limit: it is for statements that stop nobody.
 */
export class LockPatience {
  private readonly logger = new Logger('Database');
  private waitMs = FIRST_WAIT_MS;

  /** The same migration, whose transaction waits for no lock longer than the try allows. */
  limit(migration: MigrationInterface): MigrationInterface {
    const limited = (work: 'up' | 'down') => async (runner: QueryRunner) => {
      if (runner.isTransactionActive) await runner.query(`SET LOCAL lock_timeout = ${this.waitMs}`);
      await migration[work](runner);
    };
    // Its name and its wish for a transaction it has from the original.
    return Object.assign(Object.create(migration) as MigrationInterface, { up: limited('up'), down: limited('down') });
  }

  /** Repeats the work until it has its locks, or the patience is over. */
  async run<T>(work: () => Promise<T>, runner: QueryRunner, patienceMs: number): Promise<T> {
    const deadline = performance.now() + patienceMs;
    for (this.waitMs = FIRST_WAIT_MS; ; this.waitMs = Math.min(LONGEST_WAIT_MS, 2 * this.waitMs)) {
      const first = this.waitMs === FIRST_WAIT_MS;
      try {
        return await work();
      } catch (error) {
        if (![LOCK_NOT_AVAILABLE, DEADLOCK].includes((error as { code?: string }).code ?? '')) throw error;
        const over = performance.now() >= deadline;
        const holders = first || over ? await oldestTransactions(runner) : '';
        if (over) throw new MigrationLockError(patienceMs, holders, error);
        if (first) this.logger.warn({ msg: 'A migration waits for a lock', holders, seconds: patienceMs / 1_000 });
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
}

/** Who may hold the lock, in words: as much as PostgreSQL shows this role. */
async function oldestTransactions(runner: QueryRunner): Promise<string> {
  const rows = (await runner.query(`
    SELECT format('pid %s (%s)', pid, concat_ws(', ', coalesce(nullif(application_name, ''), usename, backend_type), state)) AS who,
           extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '200 ms'
    ORDER BY xact_start LIMIT 3`)) as { who: string; seconds: number }[];
  if (rows.length === 0) return '';
  return `the oldest open transactions: ${rows.map(({ who, seconds }) => `${who} for ${seconds} s`).join(', ')}`;
}
