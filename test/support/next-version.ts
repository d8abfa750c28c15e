import type { MigrationInterface, QueryRunner } from 'typeorm';
import { dataSourceOptions, migrations, TurnpikeDataSource } from '../../src/database/data-source.js';

/** What a next version would add: a column that is null in all rows, and functions that do what they did. */
export class NextColumn2900000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_tasks ADD COLUMN next_note text');
    const functions: { definition: string }[] = await runner.query(
      `SELECT pg_get_functiondef(oid) AS definition FROM pg_proc
       WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'`,
    );
    for (const { definition } of functions) await runner.query(definition);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_tasks DROP COLUMN next_note');
  }
}

/** A table, which nobody of the version before knows. */
export class NextTable2800000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE next_notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id text NOT NULL, note text NOT NULL);
      CREATE INDEX next_notes_by_task ON next_notes (task_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE next_notes');
  }
}

/** An index on a table in use, which nobody waits for. */
export class NextIndex2950000000000 implements MigrationInterface {
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    // One that a try has left behind is not valid.
    await runner.query('DROP INDEX CONCURRENTLY IF EXISTS queue_tasks_by_next_note');
    await runner.query('CREATE INDEX CONCURRENTLY queue_tasks_by_next_note ON queue_tasks (next_note)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX CONCURRENTLY queue_tasks_by_next_note');
  }
}

const next = [NextTable2800000000000, NextColumn2900000000000, NextIndex2950000000000];
export const NEXT_MIGRATIONS = next.map(({ name }) => name);

/** The data source of a version after this one. */
export async function nextVersion(url: string, patienceMs?: number): Promise<TurnpikeDataSource> {
  const options = { ...dataSourceOptions(url, 2), migrations: [...migrations, ...next] };
  const source = new TurnpikeDataSource(options, patienceMs);
  await source.initialize();
  return source;
}

/** The moments at which somebody has begun to wait for the lock that the new column needs. */
export const WAITS_FOR_COLUMN = `SELECT query_start::text AS since FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%ADD COLUMN next_note%'`;
