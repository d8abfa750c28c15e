import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';
import { migrate } from '../../src/database/migrate.js';

/*
 * A program of its own that global-setup.mjs starts: the PostgreSQL of one test run, with the template database in it.
 * It prints the server's URL as its only line and cleans up when its standard input ends, so that nothing is left
 * behind even when jest is killed.
 */

const TEMPLATE = 'turnpike_template';

interface Server {
  readonly url: string;
  end(): Promise<void>;
}

/** Durability is for data that anyone needs after a crash. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '300' };

async function ownServer(): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-test-'));
  try {
    // PostgreSQL runs as another user when the tests run as root.
    await chmod(folder, 0o755);
    const postgres = await startEmbeddedPostgres({ dataDir: folder, settings: SETTINGS });
    const end = async () => {
      await postgres.stop();
      await rm(dirname(postgres.dataDir), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    };
    return { url: postgres.url, end };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function givenServer(url: string): Server {
  return { url, end: () => dropTemplate(url) };
}

async function createTemplate(url: string): Promise<void> {
  await dropTemplate(url);
  await onServer(url, `CREATE DATABASE ${TEMPLATE}`);
  const template = new URL(url);
  template.pathname = `/${TEMPLATE}`;
  await migrate(template.href);
  // A template that someone is connected to cannot be cloned, so nobody may connect from here on.
  await onServer(url, `ALTER DATABASE ${TEMPLATE} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false`);
}

async function dropTemplate(url: string): Promise<void> {
  const exists = await onServer(url, `SELECT FROM pg_database WHERE datname = '${TEMPLATE}'`);
  if (!exists) return;
  await onServer(url, `ALTER DATABASE ${TEMPLATE} WITH IS_TEMPLATE false`);
  await onServer(url, `DROP DATABASE ${TEMPLATE} WITH (FORCE)`);
}

async function onServer(url: string, sql: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query(sql);
    return rowCount === 1;
  } finally {
    await client.end();
  }
}

/** Resolves when standard input ends, which it does with the process that holds its other end. */
const inputEnded = new Promise<void>((resolve) => {
  process.stdin.on('close', resolve).on('error', () => resolve());
  process.stdin.resume();
});

const given = process.env.TEST_DATABASE_URL;
const server = given ? givenServer(given) : await ownServer();
try {
  await createTemplate(server.url);
  process.stdout.write(`${server.url}\n`);
  await inputEnded;
} finally {
  await server.end();
}
