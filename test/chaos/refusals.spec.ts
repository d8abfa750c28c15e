import type pg from 'pg';
import { cleanUp } from '../support/service-process.js';
import { until } from '../support/until.js';
import { OwnPostgres } from './own-postgres.js';
import { TinyDisk } from './tiny-disk.js';
import { Trouble, type TroubleOptions } from './trouble.js';

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await OwnPostgres.start({ max_connections: '40' });
});
afterAll(cleanUp);

const trouble = (name: string, options: Partial<TroubleOptions> = {}) =>
  new Trouble({ name, url: postgres.url, query: postgres.query, ...options });

it('a pool whose connections are all in use makes callers wait or come again, and loses nothing', async () => {
  const services = trouble('pool exhausted', { env: { DATABASE_POOL_SIZE: '2' }, lanes: 8 });
  await services.run(async () => {
    // Nothing can be stored, and what tries to holds the connections.
    const hand = await postgres.session();
    await hand.query('BEGIN; LOCK TABLE queue_tasks IN EXCLUSIVE MODE');
    await services.isNotReady();
    await hand.query('COMMIT');
    await hand.end();
    return { pool: 2, callers: 8 };
  });
});

it('a database without a free connection is waited for: 53300', async () => {
  const services = trouble('no connection free');
  await services.run(async () => {
    const others = await takeAllConnections();
    await services.refuses();
    await Promise.all(others.map((client) => client.end()));
    const query = () => postgres.query('SELECT 1').catch(() => []);
    await until('there are free connections', async () => (await query()).length > 0);
    return { taken_by_others: others.length };
  });
});

it('a time limit that no statement meets refuses submissions until it is gone: 57014', async () => {
  const services = trouble('statement_timeout of 1 ms');
  await services.run(async () => {
    await tellSessions('statement_timeout', '1ms');
    await services.refuses();
    await tellSessions('statement_timeout', null);
    return {};
  });
});

it('a database that has become read-only refuses submissions, and says so in /ready: 25006', async () => {
  const services = trouble('read-only');
  await services.run(async () => {
    // As after a failover: the sessions are new, and none may write. They stay so when others may again.
    await tellSessions('default_transaction_read_only', 'on');
    await services.refuses();
    await tellSessions('default_transaction_read_only', null, { cut: false });
    await services.recovers();
    // Under sessions that are in use.
    await tellServer('default_transaction_read_only = on');
    await services.refuses();
    await tellServer('default_transaction_read_only = off');
    return { times: 2 };
  });
});

const diskIsPossible = TinyDisk.possible;
const skipped = diskIsPossible ? '' : ' (skipped: as root, `mount -t tmpfs tmpfs <folder>` must work)';
(diskIsPossible ? it : it.skip)(
  `a disk without room refuses submissions until there is some: 53100${skipped}`,
  async () => {
    const disk = await TinyDisk.under(postgres, 'queue_tasks');
    try {
      const services = trouble('disk full');
      await services.run(async () => {
        disk.fill();
        await services.refuses();
        disk.free();
        return {};
      });
    } finally {
      await disk.remove();
    }
  },
);

/** The setting of each session that begins from now on; those there are end, unless told otherwise. */
async function tellSessions(setting: string, value: string | null, { cut = true } = {}): Promise<void> {
  const database = new URL(postgres.url).pathname.slice(1);
  await postgres.query(
    `ALTER DATABASE "${database}" ${value === null ? `RESET ${setting}` : `SET ${setting} = '${value}'`}`,
  );
  if (cut) await postgres.terminateConnections(`application_name = 'turnpike'`);
}

/** At once, for all sessions. */
async function tellServer(setting: string): Promise<void> {
  await postgres.query(`ALTER SYSTEM SET ${setting}`);
  await postgres.query('SELECT pg_reload_conf()');
}

/** Others have all connections, and the services none. */
async function takeAllConnections(): Promise<pg.Client[]> {
  const taken: pg.Client[] = [];
  const take = async () => {
    try {
      for (;;) taken.push(await postgres.session());
    } catch (error) {
      if ((error as pg.DatabaseError).code !== '53300') throw error;
    }
  };
  await take();
  const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'turnpike'`;
  await until('the services have no connection', async () => {
    const { rowCount } = await taken[0]!.query(cut);
    await take();
    return rowCount === 0;
  });
  return taken;
}
