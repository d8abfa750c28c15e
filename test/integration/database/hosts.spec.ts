import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { dataSourceOptions, TurnpikeDataSource } from '../../../src/database/data-source.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/database/embedded/embedded-postgres.js';
import { freePort } from '../../../src/database/embedded/postmaster.js';
import { QueueDatabase } from '../../../src/queue/store/queue-database.js';
import { onServer } from '../../support/on-server.js';
import { recordLogs } from '../../support/queue-doubles.js';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.js';
import { until } from '../../support/until.js';

/** Two servers with the same database: the one of the test run, whose database is read-only at first, and one beside it. */
let first: TestDatabase;
let second: EmbeddedPostgres;
let folder: string;
let urls: { first: URL; second: URL };
let dataSource: TurnpikeDataSource;

beforeAll(async () => {
  recordLogs();
  first = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'turnpike-hosts-'));
  await chmod(folder, 0o755);
  second = await startEmbeddedPostgres({ dataDir: folder, settings: { fsync: 'off' } });
  const url = new URL(first.url);
  const password = decodeURIComponent(url.password).replaceAll("'", "''");
  await onServer(second.url, `CREATE DATABASE ${url.pathname.slice(1)}`);
  // The last statement with the old password.
  await onServer(second.url, `ALTER ROLE turnpike PASSWORD '${password}'`);
  const secondUrl = new URL(url.href);
  secondUrl.host = new URL(second.url).host;
  secondUrl.username = 'turnpike';
  urls = { first: url, second: secondUrl };
});

afterAll(async () => {
  jest.restoreAllMocks();
  if (dataSource?.isInitialized) await dataSource.destroy();
  await second?.stop();
  if (second) await rm(dirname(second.dataDir), { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
  await first?.drop();
});

const firstTakesWrites = (writes: boolean) =>
  onServer(
    urls.first.href,
    `BEGIN READ WRITE;
     ALTER DATABASE ${urls.first.pathname.slice(1)} SET default_transaction_read_only = ${writes ? 'off' : 'on'};
     COMMIT;
     SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'turnpike'`,
  );

it('connections of the pool and beside it go to the host that takes writes, and to another one when that changes', async () => {
  await firstTakesWrites(false);
  const dead = `127.0.0.1:${await freePort()}`;
  const { username, password, pathname, host } = urls.first;
  const address = `postgres://${username}:${password}@${dead},${host},${urls.second.host}${pathname}`;
  dataSource = new TurnpikeDataSource(dataSourceOptions(`${address}?target_session_attrs=read-write`, 3));
  await dataSource.initialize();
  const portOf = async () => {
    const [row] = await dataSource.query<{ port: number }[]>('SELECT inet_server_port() AS port');
    return String(row!.port);
  };
  expect(await portOf()).toBe(urls.second.port);

  const database = new QueueDatabase(dataSource, { pooler: 'none' });
  const beside = database.newClient(5_000);
  let ended = false;
  beside.on('error', () => undefined).on('end', () => (ended = true));
  await beside.connect();
  const { rows } = await beside.query<{ port: number }>('SELECT inet_server_port() AS port');
  expect(String(rows[0]!.port)).toBe(urls.second.port);

  // The second becomes read-only: nobody has broken a connection to it, and none is kept.
  await onServer(urls.second.href, 'ALTER SYSTEM SET default_transaction_read_only = on');
  await onServer(urls.second.href, 'SELECT pg_reload_conf()');
  await until('the connection beside the pool is cut', () => ended);
  await expect(dataSource.query('SELECT 1')).rejects.toThrow(
    new RegExp(
      `no host of DATABASE_URL takes writes: ${dead} \\(.*ECONNREFUSED.*${host} \\(a standby, or read-only\\)`,
    ),
  );

  await firstTakesWrites(true);
  let port = '';
  const arrived = async () => (port = await portOf().catch(() => '')) === urls.first.port;
  await until(() => `queries go to the first server (${port})`, arrived);
  const next = database.newClient(5_000);
  await next.connect();
  expect(next.port).toBe(Number(urls.first.port));
  await next.end();
});

it('migrations run where writes are taken', async () => {
  const applied = await dataSource.runMigrations({ transaction: 'each' });
  expect(applied).toEqual([]);
});
