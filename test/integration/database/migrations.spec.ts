import { Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import pg from 'pg';
import { dataSourceOptions, migrations, TurnpikeDataSource } from '../../../src/database/data-source.js';
import { DatabaseModule } from '../../../src/database/database.module.js';
import { MigrationLockError } from '../../../src/database/lock-patience.js';
import { DeadLetters1764400000000 } from '../../../src/database/migrations/1764400000000-dead-letters.js';
import { Retention1765000000000 } from '../../../src/database/migrations/1765000000000-retention.js';
import { migrate } from '../../../src/database/migrate.js';
import { NEXT_MIGRATIONS, nextVersion, WAITS_FOR_COLUMN } from '../../support/next-version.js';
import { manyFailed } from '../../support/many-failed.js';
import { until } from '../../support/until.js';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.js';

let database: TestDatabase;
beforeEach(async () => (database = await createTestDatabase()));
afterEach(() => database.drop());

/** An empty database: the migrated clone without its one schema. */
async function emptied(): Promise<void> {
  await database.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
}

/** What the catalogues know of the schema, in words that do not depend on when it was made. */
async function schema(): Promise<string[]> {
  const parts = await Promise.all([
    database.query(`
      SELECT format('column %s.%s %s%s default %s identity %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity)
      AS line FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')`),
    database.query(`
      SELECT format('%s %s %s %s', c.relkind, c.relname, c.reloptions, pg_get_expr(c.relpartbound, c.oid)) AS line
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace`),
    database.query(`SELECT indexdef AS line FROM pg_indexes WHERE schemaname = 'public'`),
    database.query(`
      SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) AS line FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace`),
    database.query(`SELECT pg_get_triggerdef(oid) AS line FROM pg_trigger WHERE NOT tgisinternal`),
    database.query(`
      SELECT pg_get_functiondef(oid) AS line FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'`),
    database.query(`SELECT format('transition %s %s', from_status, to_status) AS line FROM queue_task_transitions`),
  ]);
  return parts.flatMap((rows) => rows.map((row) => row.line as string)).sort();
}

const relations = async () =>
  (
    await database.query(`
      SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace 
        AND relname !~ 'turnpike_migrations|^PK_'
      UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace`)
  ).map((row) => row.name as string);

async function undoAll(): Promise<void> {
  const dataSource = new TurnpikeDataSource(dataSourceOptions(database.url, 2));
  await dataSource.initialize();
  try {
    for (let n = 0; n < migrations.length; n++) await dataSource.undoLastMigration({ transaction: 'each' });
  } finally {
    await dataSource.destroy();
  }
}

const applied = async () =>
  (await database.query('SELECT name FROM turnpike_migrations ORDER BY id')).map((row) => row.name as string);
const LOCKS = `SELECT FROM pg_locks WHERE locktype = 'advisory'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
const names = migrations.map((migration) => migration.name);

describe('the migrations', () => {
  it('down leave nothing behind, and up again the same as before', async () => {
    const before = await schema();
    expect(before.length).toBeGreaterThan(100);
    expect(await applied()).toEqual(names);
    await undoAll();
    expect(await relations()).toEqual([]);
    expect(await applied()).toEqual([]);
    expect(await migrate(database.url)).toEqual(names);
    expect(await schema()).toEqual(before);
    expect(await applied()).toEqual(names);
  });

  it('down work on a queue that has been in use', async () => {
    await database.query(
      `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec) VALUES ('task-1', 'a', 'w', '{}')`,
    );
    await undoAll();
    expect(await relations()).toEqual([]);
  });

  it('fill in the dead letters that were there before their columns', async () => {
    await manyFailed(database.query, 3);
    const read = () => database.query('SELECT app_name, workflow_name, error FROM queue_dead_letters ORDER BY id');
    const before = await read();
    expect(before[0]).toMatchObject({ app_name: 'demo-app', error: expect.stringMatching(/ of pod web-# failed/) });
    const dataSource = new TurnpikeDataSource(dataSourceOptions(database.url, 2));
    await dataSource.initialize();
    const runner = dataSource.createQueryRunner();
    try {
      await new DeadLetters1764400000000().down(runner);
      await new DeadLetters1764400000000().up(runner);
    } finally {
      await runner.release();
      await dataSource.destroy();
    }
    expect(await read()).toEqual(before);
  });

  it('lock out nobody who writes tasks while an index is built, and wait for them not long', async () => {
    const keys = new pg.Client(database.url);
    const dataSource = new TurnpikeDataSource(dataSourceOptions(database.url, 2));
    await Promise.all([keys.connect(), dataSource.initialize()]);
    const retention = new Retention1765000000000();
    const runner = dataSource.createQueryRunner();
    try {
      await retention.down(runner);
      await keys.query('BEGIN; LOCK TABLE queue_idempotency IN ROW EXCLUSIVE MODE');
      await runner.startTransaction();
      const up = retention.up(runner).then(
        () => undefined,
        (error: unknown) => error,
      );
      const waits = `SELECT FROM pg_locks WHERE relation = 'queue_idempotency'::regclass AND NOT granted`;
      await until('it waits for the index', async () => (await database.query(waits)).length === 1);
      await database.query(
        `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec) VALUES ('task-1', 'a', 'w', '{}')`,
      );
      await keys.query('COMMIT; BEGIN; LOCK TABLE queue_tasks IN ROW EXCLUSIVE MODE');
      expect(await up).toMatchObject({ code: '55P03' });
      await runner.rollbackTransaction();
      await keys.query('COMMIT');
      await retention.up(runner);
    } finally {
      await keys.end();
      await runner.release();
      await dataSource.destroy();
    }
  });

  it('are applied once when four instances boot on an empty database', async () => {
    const before = await schema();
    await emptied();
    const results = await Promise.all(Array.from({ length: 4 }, () => migrate(database.url)));
    expect(results.flat()).toEqual(names);
    expect(await applied()).toEqual(names);
    expect(await schema()).toEqual(before);
    const locks = await database.query(LOCKS);
    expect(locks).toEqual([]);
  });

  it('have nothing to do on a database that has them', async () => {
    const before = await schema();
    expect(await migrate(database.url)).toEqual([]);
    expect(await schema()).toEqual(before);
  });

  it('that cannot lock do not begin', async () => {
    await emptied();
    const hand = new pg.Client({ connectionString: database.url });
    await hand.connect();
    await hand.query('SELECT pg_advisory_lock(7381001)');
    const migrating = migrate(database.url);
    const trying = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'turnpike'
      AND query LIKE 'ROLLBACK%' AND query_start < clock_timestamp() AND state = 'idle'`;
    await until('it has tried to lock', async () => (await database.query(trying)).length > 0, { everyMs: 1 });
    expect(await relations()).toEqual([]);
    await hand.end();
    expect(await migrating).toEqual(names);
  });
});

describe('the migrations of a next version', () => {
  let source: TurnpikeDataSource | undefined;
  let reader: pg.Client;
  let warn: jest.SpyInstance<void, unknown[]>;
  beforeEach(async () => {
    reader = new pg.Client({ connectionString: database.url, application_name: 'a long report' });
    await reader.connect();
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await reader.end();
    await source?.destroy();
    source = undefined;
  });

  it('let everybody else pass while they wait for a long transaction', async () => {
    await reader.query('BEGIN; SELECT FROM queue_tasks');
    source = await nextVersion(database.url);
    const migrating = source.runMigrations();
    const tries = new Set<string>();
    await until(
      'it has tried twice',
      async () => {
        for (const row of await database.query(WAITS_FOR_COLUMN)) tries.add(row.since as string);
        return tries.size >= 2;
      },
      { everyMs: 5 },
    );
    // Behind a wait without a limit, this would wait for the reader.
    expect(await database.query('SELECT FROM queue_tasks')).toEqual([]);
    expect((await applied()).slice(names.length)).toEqual(NEXT_MIGRATIONS.slice(0, 1));
    const waits = warn.mock.calls.map(([line]) => line as { msg: string; holders: string });
    expect(waits).toEqual([
      {
        msg: 'A migration waits for a lock',
        holders: expect.stringMatching(/pid \d+ \(a long report, idle in transaction\) for \d+ s/),
        seconds: 60,
      },
    ]);
    await reader.query('COMMIT');
    expect((await migrating).map(({ name }) => name)).toEqual(NEXT_MIGRATIONS);
    expect((await applied()).slice(names.length)).toEqual(NEXT_MIGRATIONS);
    expect(await database.query('SELECT FROM pg_index WHERE NOT indisvalid')).toEqual([]);
    expect(await database.query(LOCKS)).toEqual([]);
  });

  it('give up after a while, and say who was in the way; what was applied stays', async () => {
    await reader.query('BEGIN; SELECT FROM queue_tasks');
    source = await nextVersion(database.url, 0);
    const error = (await source.runMigrations().catch((reason: unknown) => reason)) as Error;
    expect(error).toBeInstanceOf(MigrationLockError);
    expect(error.message).toMatch(/lock timeout.*pid \d+ \(a long report, idle in transaction\).*pg_terminate_backend/);
    expect((await applied()).slice(names.length)).toEqual(NEXT_MIGRATIONS.slice(0, 1));
    expect(await database.query(LOCKS)).toEqual([]);
    await reader.query('COMMIT');
    expect((await source.runMigrations()).map(({ name }) => name)).toEqual(NEXT_MIGRATIONS.slice(1));
  });

  it('are no obstacle for this version, which says that it does not know them', async () => {
    source = await nextVersion(database.url);
    await source.runMigrations();
    expect(await source.unknownMigrations()).toEqual([]);
    const imports = [DatabaseModule.forRoot({ url: database.url, poolSize: 2, entities: [] })];
    const module = await Test.createTestingModule({ imports }).compile();
    await module.close();
    const msg = `The database has migrations that this version does not know: ${NEXT_MIGRATIONS.join(', ')}`;
    expect(warn.mock.calls.map(([line]) => line)).toEqual([{ msg, migrations: NEXT_MIGRATIONS }]);
    expect((await applied()).slice(names.length)).toEqual(NEXT_MIGRATIONS);
  });
});
