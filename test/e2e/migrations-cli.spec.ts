import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { dataSourceOptions, migrations, TurnpikeDataSource } from '../../src/database/data-source.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NAME = `turnpike_migrations_${process.pid}`;

/** All that a schema consists of, TypeORM's own table aside. */
const CONTENTS = `
  SELECT relkind::text || ' ' || relname AS thing FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'turnpike_migrations%' AND relname NOT LIKE 'PK\\_%'
  UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`;

describe('the migration commands', () => {
  const server = process.env.TURNPIKE_TEST_SERVER_URL!;
  const url = new URL(server);
  url.pathname = `/${NAME}`;

  const query = async (target: string, sql: string) => {
    const client = new pg.Client({ connectionString: target });
    await client.connect();
    try {
      return (await client.query(sql)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  };
  const run = async (command: string) => {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, DATABASE_URL: url.href, NO_COLOR: '1' };
    const { stdout } = await promisify(execFile)('npm', ['run', '--silent', `migration:${command}`], {
      cwd: ROOT,
      env,
    });
    return stdout;
  };

  beforeAll(() => query(server, `CREATE DATABASE ${NAME}`));
  afterAll(() => query(server, `DROP DATABASE ${NAME} WITH (FORCE)`));

  it('show, run and revert them on an empty database', async () => {
    expect(await run('show')).toMatch(/\[ \] .*Queue/);
    await run('run');
    expect(await run('show')).toMatch(/\[X\] .*Queue/);
    const made = await query(url.href, CONTENTS);
    expect(made).toContainEqual({ thing: 'r queue_tasks' });
    expect(await run('run')).toContain('No migrations are pending');

    await run('revert');
    expect(await run('show')).toMatch(/\[ \][^[]*$/);
    // The command takes back one migration; the rest as it does, without a process for each.
    const dataSource = await new TurnpikeDataSource(dataSourceOptions(url.href, 2)).initialize();
    for (let n = 1; n < migrations.length; n++) await dataSource.undoLastMigration();
    await dataSource.destroy();
    expect(await query(url.href, CONTENTS)).toEqual([]);
    await run('run');
    expect(await query(url.href, CONTENTS)).toEqual(made);
  });
});
