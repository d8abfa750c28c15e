import { resolve } from 'node:path';
import type pg from 'pg';
import { type Binaries, loadBinaries } from './binaries.js';
import { ensureCluster, removeLeftovers, TURNPIKE } from './cluster.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { choosePlace, type Place } from './place.js';
import { endPostmaster, findPostmaster, launchPostmaster, logOf, type Postmaster, runsFrom } from './postmaster.js';
import { lastLines } from './processes.js';
import { connectWhenReady, createDatabaseIfMissing, holdLock } from './session.js';

export { EmbeddedPostgresError };

export interface EmbeddedPostgres {
  /** postgres://turnpike:<password>@127.0.0.1:<port>/turnpike */
  readonly url: string;
  /** Where the cluster really is. */
  readonly dataDir: string;
  /** Ends the server and waits until it is gone; may be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The service's data folder. The cluster goes into `postgres` below it, unless root needs another place. */
  readonly dataDir: string;
  readonly log?: (message: string) => void;
  /** Settings of PostgreSQL for this start, as in postgresql.conf. */
  readonly settings?: Record<string, string>;
}

/** How long to try again where a server ends for a reason that passes. */
const LAUNCH_TIMEOUT_MS = 15_000;

/**
 * Another starter was faster, or took the port; processes of a killed server have not yet noticed its end; the server
 * had started, and was ended from outside. The next try meets another situation.
 */
const PASSING =
  /lock file "postmaster\.pid"|address already in use|pre-existing shared memory|received .* shutdown|ready to accept/i;

/**
 * Starts PostgreSQL on the data folder, or takes over the server that a killed service has left behind. One service at
 * a time has the folder; the database itself holds the lock.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log = () => undefined, settings = {} } = options;
  const dataDir = resolve(options.dataDir);
  try {
    const place = await choosePlace(dataDir, log);
    const binaries = await loadBinaries(place.account, log);
    const password = await ensureCluster(place, binaries, log);
    const { postmaster, session } = await takeServer({ place, binaries, password, settings, dataDir, log });
    try {
      await createDatabaseIfMissing(session);
      await removeLeftovers(place);
    } catch (error) {
      await endPostmaster(postmaster, 'fast');
      throw error;
    }
    // No types for it; an open session must not keep the process alive.
    (session as pg.Client & { unref(): void }).unref();
    let stopped: Promise<void> | undefined;
    return {
      url: `postgres://${TURNPIKE}:${password}@127.0.0.1:${postmaster.port}/${TURNPIKE}`,
      dataDir: place.cluster,
      stop: () => (stopped ??= stop(postmaster, session)),
    };
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(
      `Cannot start the embedded PostgreSQL in ${dataDir}: ${(error as Error).message}. ` +
        'Mend that, or set DATABASE_URL to a PostgreSQL of your own',
      { cause: error },
    );
  }
}

interface Start {
  readonly place: Place;
  readonly binaries: Binaries;
  readonly password: string;
  readonly settings: Record<string, string>;
  readonly dataDir: string;
  readonly log: (message: string) => void;
}

/** A server that answers, and a session on it that holds the lock. */
async function takeServer(start: Start): Promise<{ postmaster: Postmaster; session: pg.Client }> {
  const { place, binaries, log } = start;
  const deadline = performance.now() + LAUNCH_TIMEOUT_MS;
  for (;;) {
    const found = await findPostmaster(place.cluster);
    if (found) log(`PostgreSQL runs already (process ${found.pid}, port ${found.port}): taking it over`);
    const postmaster = found ?? (await launchPostmaster(place, binaries, start.settings));

    const session = await lockedSession(start, postmaster);
    if (session === 'silent') {
      log(`PostgreSQL (process ${postmaster.pid}) does not answer: replacing it`);
      await endPostmaster(postmaster, 'immediate');
      if (!found) throw startFailed(place, await logOf(place, postmaster));
    } else if (session === 'gone') {
      const output = await logOf(place, postmaster);
      if (!found && (!PASSING.test(output) || performance.now() >= deadline)) throw startFailed(place, output);
    } else if (found && !(await runsFrom(binaries, found))) {
      log(`PostgreSQL (process ${found.pid}) is of another installation: replacing it`);
      await stop(found, session);
    } else {
      return { postmaster, session };
    }
  }
}

/** A session that holds the lock. Where another service holds it, the server is left to that one. */
async function lockedSession(
  { password, dataDir }: Start,
  postmaster: Postmaster,
): Promise<pg.Client | 'gone' | 'silent'> {
  const session = await connectWhenReady(postmaster, password);
  if (typeof session === 'string') return session;
  try {
    await holdLock(session, dataDir);
    return session;
  } catch (error) {
    await session.end().catch(() => undefined);
    if (error instanceof EmbeddedPostgresError) throw error;
    // The server ended between the two: its service was about to stop.
    return 'gone';
  }
}

/** The lock ends with the server and not before, so that no other service takes over a server that is about to end. */
async function stop(postmaster: Postmaster, session: pg.Client): Promise<void> {
  await endPostmaster(postmaster, 'fast');
  await session.end().catch(() => undefined);
}

function startFailed({ cluster, logFile }: Place, output: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `PostgreSQL does not start on the database in ${cluster}: ` +
      `${lastLines(output, 5) || 'it wrote nothing'}. More in ${logFile}`,
  );
}
