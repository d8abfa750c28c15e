import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const SCRIPT = readFileSync(fileURLToPath(new URL('../../scripts/app-role.sql', import.meta.url)), 'utf8');
const LOGIN = `turnpike_login_${process.pid}`;

describe('a service whose role owns nothing', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let client: pg.Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.query(SCRIPT);
    await database.query(`CREATE ROLE ${LOGIN} LOGIN PASSWORD 'app' IN ROLE turnpike_app`);
    const url = new URL(database.url);
    url.username = LOGIN;
    url.password = 'app';
    service = await ServiceProcess.start({ env: { DATABASE_URL: url.href } });
    client = new pg.Client({ connectionString: url.href });
    await client.connect();
  });
  afterAll(async () => {
    await client?.end();
    await cleanUp();
    await database.query(`DROP ROLE IF EXISTS ${LOGIN}`);
    await database.query('DROP OWNED BY turnpike_app; DROP ROLE turnpike_app');
    await database.drop();
  });

  it('runs tasks, seals the ledger, makes partitions, and takes the script again', async () => {
    const done = await service.submit(documentOf('echo hello'));
    const failed = await service.submit(documentOf('exit 1'));
    await service.waitForTask(done, 'completed');
    await service.waitForTask(failed, 'failed');
    await until('the ledger is sealed', async () => (await service.get('/api/audit/head')).status === 200);
    expect((await service.get('/api/audit/verify')).json).toMatchObject({ valid: true });
    await client.query('SELECT queue_ensure_partitions(6)');
    await database.query(SCRIPT);
  });

  it.each([
    'UPDATE queue_task_events SET actor = NULL',
    'DELETE FROM queue_task_events',
    'TRUNCATE queue_task_events',
    'DELETE FROM queue_task_events_default',
    'ALTER TABLE queue_task_events DISABLE TRIGGER ALL',
    'ALTER TABLE queue_tasks DISABLE TRIGGER queue_tasks_updated',
    'DROP TRIGGER queue_tasks_updated ON queue_tasks',
    'DROP TABLE queue_task_events',
    'UPDATE queue_ledger_removed SET id = 0',
    'UPDATE queue_ledger_seals SET hash = NULL',
    'DELETE FROM queue_ledger_seals',
    "INSERT INTO queue_task_transitions VALUES ('failed', 'completed')",
    "SET session_replication_role = 'replica'",
    'CREATE OR REPLACE FUNCTION queue_ledger_guard() RETURNS trigger LANGUAGE sql AS $$ SELECT NULL $$',
  ])('may not: %s', async (statement) => {
    await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' });
  });

  it('cannot have the owner do it: temporary tables take nobody´s place, and weeks of the ledger stay', async () => {
    await client.query(`
      CREATE TEMP TABLE queue_task_events (LIKE public.queue_task_events) PARTITION BY RANGE (at);
      CREATE TEMP TABLE queue_task_logs (LIKE public.queue_task_logs) PARTITION BY RANGE (at);
      CREATE FUNCTION pg_temp.evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'run as %', current_user; END $$;
      CREATE TRIGGER evil BEFORE INSERT ON queue_task_events FOR EACH ROW EXECUTE FUNCTION pg_temp.evil()`);
    await client.query('SELECT queue_ensure_partitions(8), queue_drop_empty_log_weeks(5)');
    const made = await client.query("SELECT FROM pg_inherits WHERE inhparent = 'pg_temp.queue_task_events'::regclass");
    expect(made.rowCount).toBe(0);
    await client.query('DISCARD TEMP');
    await database.query(`SET turnpike.actor = 'test'`);
    await database.query(
      `INSERT INTO queue_task_events (kind, actor, at) VALUES ('operator', 'test', now() - interval '60 days')`,
    );
    await expect(client.query("SELECT queue_prune_ledger(now(), 'nobody')")).rejects.toThrow();
    expect(await database.query("SELECT FROM queue_task_events WHERE cause = 'ledger_pruned'")).toEqual([]);
  });
});
