import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { TURNPIKE } from './cluster.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { endPostmaster, isRunning, type Postmaster } from './postmaster.js';

const POLL_MS = 25;
const ANSWER_TIMEOUT_MS = 4_000;
const SILENT_ATTEMPTS = 3;
const READY_TIMEOUT_MS = 60_000;
const LOCK_TIMEOUT_MS = 3_000;

/** Any number that no other program on the same server uses for an advisory lock. */
const SERVICE_LOCK = 7_381_000;

/** `gone`: the server has ended. `silent`: it runs, but does not answer. */
export type Unready = 'gone' | 'silent';

/**
 * Connects as soon as the server lets anyone in, which a crash recovery may put off. A server that refuses the service
 * is ended when it was started for it.
 */
export async function connectWhenReady(
  postmaster: Postmaster,
  password: string,
  answerTimeoutMs = ANSWER_TIMEOUT_MS,
): Promise<pg.Client | Unready> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  let silences = 0;
  for (;;) {
    const begun = performance.now();
    const attempt = await connect(postmaster.port, password, answerTimeoutMs).then(
      (session) => ({ session }),
      (error: Error & { code?: string }) => ({ error }),
    );
    if ('session' in attempt) return attempt.session;
    const { error } = attempt;
    if (!(await isRunning(postmaster))) return 'gone';

    // 28: the password is wrong; 3D: there is no such database. Waiting mends neither.
    if (/^(28|3D)...$/.test(error.code ?? '')) {
      if (postmaster.logOffset !== undefined) await endPostmaster(postmaster, 'fast');
      throw new EmbeddedPostgresError(
        `PostgreSQL (database in ${postmaster.cluster}) runs, but refuses the service: ${error.message}. ` +
          `Is ${postmaster.cluster}.password the file that belongs to this database?`,
        { cause: error },
      );
    }
    if (performance.now() - begun >= answerTimeoutMs && ++silences >= SILENT_ATTEMPTS) return 'silent';
    if (performance.now() >= deadline) {
      if (error.code === 'ECONNREFUSED') return 'silent';
      throw new EmbeddedPostgresError(
        `PostgreSQL (database in ${postmaster.cluster}) was not ready within ${READY_TIMEOUT_MS / 1000} s: ` +
          `${error.message}. It goes on by itself; start the service again later ` +
          `(${postmaster.cluster}.log tells how far it is)`,
        { cause: error },
      );
    }
    await delay(POLL_MS);
  }
}

/**
 * Holds the cluster for this service for as long as the session lives; PostgreSQL ends it with the process, however
 * that ends. The end of a predecessor that was just killed may take a moment to show.
 */
export async function holdLock(session: pg.Client, dataDir: string): Promise<void> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    const { rows } = await session.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [SERVICE_LOCK]);
    if (rows[0]?.held) return;
    if (performance.now() >= deadline) {
      throw new EmbeddedPostgresError(
        `Another Turnpike service uses the data folder ${dataDir}: ` +
          "stop it, or set DATA_DIR to a folder of this one's own",
      );
    }
    await delay(POLL_MS);
  }
}

export async function createDatabaseIfMissing(session: pg.Client): Promise<void> {
  const { rowCount } = await session.query('SELECT FROM pg_database WHERE datname = $1', [TURNPIKE]);
  if (rowCount === 0) await session.query(`CREATE DATABASE ${TURNPIKE}`);
}

/**
 * A session in the database `postgres`, where no one drops, restores or migrates. It takes nothing from the PG*
 * variables of the service's environment.
 */
async function connect(port: number, password: string, answerTimeoutMs: number): Promise<pg.Client> {
  const session = new pg.Client({
    host: '127.0.0.1',
    port,
    user: TURNPIKE,
    password,
    database: 'postgres',
    ssl: false,
    application_name: 'turnpike data folder lock',
    options: '-c idle_session_timeout=0 -c statement_timeout=0',
    connectionTimeoutMillis: answerTimeoutMs,
  });
  // Where the server ends under the session, the service learns of it from its own connections.
  session.on('error', () => undefined);
  try {
    await session.connect();
    return session;
  } catch (error) {
    await session.end().catch(() => undefined);
    throw error;
  }
}
