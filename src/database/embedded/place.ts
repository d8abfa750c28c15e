import { createHash } from 'node:crypto';
import { mkdir, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeOpenDir, SYSTEM_DIR } from './binaries.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { type Account, run } from './processes.js';

/** PostgreSQL refuses to run as root, which lends it the account "nobody". */
const NOBODY: Account = { uid: 65534, gid: 65534 };

/** Where one cluster lives, and who runs it. */
export interface Place {
  /** The cluster itself: PGDATA. */
  readonly cluster: string;
  readonly passwordFile: string;
  readonly logFile: string;
  /** The prefix of folders in which a cluster is made before it gets its name. */
  readonly temporaryPrefix: string;
  /** Set when the service runs as root. */
  readonly account: Account | undefined;
}

/**
 * Finds the place for the cluster of a data folder. A cluster that exists is used where it is, so that a change of
 * permissions never shows an empty database in place of the old one.
 */
export async function choosePlace(dataDir: string, log: (message: string) => void): Promise<Place> {
  await mkdir(resolve(dataDir), { recursive: true });
  const home = await realpath(dataDir);
  const own = placeIn(home, undefined);
  const owner = await ownerOf(own.cluster);

  if (process.getuid?.() !== 0) {
    if (owner && owner.uid !== process.getuid?.()) {
      throw new EmbeddedPostgresError(
        `The database in ${own.cluster} belongs to uid ${owner.uid}, the service runs as uid ${process.getuid?.()}: ` +
          'run the service as that user, or set DATA_DIR to another folder',
      );
    }
    return own;
  }

  if (owner) {
    if (owner.uid === 0) {
      throw new EmbeddedPostgresError(
        `The database in ${own.cluster} belongs to root, as whom PostgreSQL refuses to run: ` +
          `chown -R ${NOBODY.uid}:${NOBODY.gid} ${own.cluster}`,
      );
    }
    if (!(await canEnter(owner, own.cluster))) {
      throw new EmbeddedPostgresError(
        `The database in ${own.cluster} belongs to uid ${owner.uid}, which a folder above bars from it: ` +
          'give that user the right to enter (chmod o+x) each folder above',
      );
    }
    return { ...own, account: owner };
  }

  const systemHome = join(SYSTEM_DIR, createHash('sha256').update(home).digest('hex').slice(0, 16));
  const system = placeIn(systemHome, NOBODY);
  if (!(await ownerOf(system.cluster))) {
    if (await canEnter(NOBODY, home)) return { ...own, account: NOBODY };
    try {
      await makeOpenDir(SYSTEM_DIR);
      await makeOpenDir(systemHome);
    } catch (error) {
      throw new EmbeddedPostgresError(
        `The service runs as root, uid ${NOBODY.uid} may not enter ${home}, and ${systemHome} cannot be made ` +
          `(${(error as Error).message}): set DATA_DIR to a folder that all users may enter, or set DATABASE_URL`,
        { cause: error },
      );
    }
  }
  log(`The service runs as root and uid ${NOBODY.uid} may not enter ${home}: the database is in ${systemHome}`);
  return system;
}

function placeIn(home: string, account: Account | undefined): Place {
  const cluster = join(home, 'postgres');
  return {
    cluster,
    passwordFile: `${cluster}.password`,
    logFile: `${cluster}.log`,
    temporaryPrefix: `${cluster}.new-`,
    account,
  };
}

/** The owner of a cluster; undefined where there is none. */
async function ownerOf(cluster: string): Promise<Account | undefined> {
  try {
    await stat(join(cluster, 'PG_VERSION')).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES') throw error;
    });
    const { uid, gid } = await stat(cluster);
    return { uid, gid };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Asked of the kernel under that account, since modes alone do not tell (ACLs, mounts). */
function canEnter(account: Account, dir: string): Promise<boolean> {
  return run('/bin/sh', ['-c', 'test -x "$0"', dir], account).then(
    () => true,
    () => false,
  );
}
