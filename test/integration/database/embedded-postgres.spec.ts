import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import {
  findNative,
  loadBinaries,
  packageName,
  reachableFor,
  SYSTEM_DIR,
} from '../../../src/database/embedded/binaries.js';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  startEmbeddedPostgres,
} from '../../../src/database/embedded/embedded-postgres.js';
import { endPostmaster, findPostmaster, freePort, isRunning } from '../../../src/database/embedded/postmaster.js';
import { run } from '../../../src/database/embedded/processes.js';
import { connectWhenReady } from '../../../src/database/embedded/session.js';

const isRoot = process.getuid?.() === 0;
const NOBODY = { uid: 65534, gid: 65534 };
const SETTINGS = { fsync: 'off' };
const MODULE = new URL('../../../src/database/embedded/embedded-postgres.ts', import.meta.url).href;

/** A test that only root can run; elsewhere it is skipped under a name that says so. */
function asRoot(name: string, test: () => Promise<void>): void {
  if (isRoot) it(name, test);
  else it.skip(`${name} (skipped: needs root)`, test);
}

const folders: string[] = [];
const children: ChildProcess[] = [];
const clusters = new Set<string>();

afterEach(async () => {
  for (const child of children.splice(0)) await killAndWait(child);
  for (const cluster of clusters) {
    const postmaster = await findPostmaster(cluster).catch(() => undefined);
    if (postmaster) await endPostmaster(postmaster, 'immediate');
    if (cluster.startsWith(SYSTEM_DIR)) folders.push(dirname(cluster));
  }
  clusters.clear();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

let made: Promise<string> | undefined;

/** A data folder in which a database was made before: the copy of one that is made once. */
async function makeDataDirWithDatabase(): Promise<string> {
  made ??= (async () => {
    const dataDir = join(await makeOpenFolder(), 'data');
    await (await startEmbeddedPostgres({ dataDir, settings: SETTINGS })).stop();
    return dataDir;
  })();
  const dataDir = await makeDataDir();
  await run('/bin/cp', ['-a', await made, dataDir]);
  return dataDir;
}

afterAll(async () => {
  if (made) await rm(dirname(await made), { recursive: true, force: true });
  // Goes only when nothing else is in it.
  await rmdir(SYSTEM_DIR).catch(() => undefined);
});

/** A folder that every account may enter, whatever the umask. */
async function makeOpenFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-embedded-'));
  await chmod(folder, 0o755);
  return folder;
}

/** An empty data folder, in which the cluster will be. */
async function makeDataDir(): Promise<string> {
  const folder = await makeOpenFolder();
  folders.push(folder);
  const dataDir = join(folder, 'data');
  clusters.add(join(dataDir, 'postgres'));
  return dataDir;
}

async function start(dataDir: string, log?: (message: string) => void): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, settings: SETTINGS, ...(log && { log }) });
  clusters.add(postgres.dataDir);
  return postgres;
}

/** The error of a start that must fail. */
async function failure(dataDir: string, settings: Record<string, string> = SETTINGS): Promise<EmbeddedPostgresError> {
  const error = await startEmbeddedPostgres({ dataDir, settings }).then(
    () => Promise.reject(new Error('It started')),
    (reason: EmbeddedPostgresError) => reason,
  );
  expect(error).toBeInstanceOf(EmbeddedPostgresError);
  expect(error.message).not.toContain('\n');
  return error;
}

async function query(url: string, sql: string): Promise<pg.QueryResult['rows']> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Starts the database in a process of its own, which then ends by itself or holds until it is killed. */
function spawnStarter(dataDir: string, options: { hold: boolean; uid?: number; gid?: number }): ChildProcess {
  const code = `
    import { startEmbeddedPostgres } from ${JSON.stringify(MODULE)};
    const postgres = await startEmbeddedPostgres({ dataDir: process.argv[1], settings: { fsync: 'off' } });
    console.log(postgres.url);
    if (${options.hold}) setInterval(() => undefined, 1000);`;
  const { uid, gid } = options;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid !== undefined && { uid, gid }),
  });
  children.push(child);
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])])) as [string?];
  if (line === undefined) throw new Error('The starter ended without a line');
  return line;
}

async function killAndWait(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function until<T>(what: string, probe: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`Waited in vain until ${what}`);
    await delay(5);
  }
}

async function postmasterOf(cluster: string) {
  return until('a postmaster runs', () => findPostmaster(cluster));
}

async function writePidFile(cluster: string, pid: number): Promise<void> {
  const path = join(cluster, 'postmaster.pid');
  const lines = [pid, cluster, 1_700_000_000, 5432, '', '127.0.0.1', '  5432001     32768', 'ready   ', ''];
  await writeFile(path, lines.join('\n'), { mode: 0o600 });
  if (isRoot) await chown(path, NOBODY.uid, NOBODY.gid);
}

describe('a first start', () => {
  it('makes a database in DATA_DIR/postgres that answers on loopback only', async () => {
    const dataDir = await makeDataDir();
    const messages: string[] = [];
    const postgres = await start(dataDir, (message) => messages.push(message));

    expect(postgres.dataDir).toBe(join(dataDir, 'postgres'));
    expect(postgres.url).toMatch(/^postgres:\/\/turnpike:[\w-]{43}@127\.0\.0\.1:\d+\/turnpike$/);
    expect(messages).toEqual([expect.stringContaining(postgres.dataDir)]);
    const [row] = await query(
      postgres.url,
      `SELECT current_user AS me, current_database() AS db, current_setting('server_encoding') AS encoding,
         current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
         'Ä' < 'Ö' AND lower('Ä') = 'ä' AS unicode`,
    );
    const expected = { me: 'turnpike', db: 'turnpike', encoding: 'UTF8', addresses: '127.0.0.1', sockets: '' };
    expect(row).toEqual({ ...expected, unicode: true });
    expect(await readdir(dataDir)).toEqual(['postgres', 'postgres.log', 'postgres.password']);
    await postgres.stop();
  });

  it('keeps the password to itself, and the environment of the service', async () => {
    process.env.TURNPIKE_SPEC_SECRET = 'only for the service';
    const postgres = await start(await makeDataDir()).finally(() => delete process.env.TURNPIKE_SPEC_SECRET);
    const password = new URL(postgres.url).password;

    expect((await stat(`${postgres.dataDir}.password`)).mode & 0o777).toBe(0o600);
    expect((await stat(`${postgres.dataDir}.log`)).mode & 0o777).toBe(0o600);
    await expect(query(postgres.url.replace(password, 'guessed'), 'SELECT 1')).rejects.toThrow('password');
    if (process.platform === 'linux') {
      const { pid } = await postmasterOf(postgres.dataDir);
      const seen = (await readFile(`/proc/${pid}/cmdline`, 'utf8')) + (await readFile(`/proc/${pid}/environ`, 'utf8'));
      expect(seen).not.toContain(password);
      expect(seen).not.toContain('only for the service');
    }
    await postgres.stop();
  });

  it('goes on after another that was killed during initdb, and removes its leftovers', async () => {
    const dataDir = await makeDataDir();
    const starter = spawnStarter(dataDir, { hold: true });
    const leftover = await until('initdb writes', async () => {
      const names = await readdir(dataDir).catch(() => []);
      const name = names.find((each) => each.startsWith('postgres.new-'));
      return name && (await stat(join(dataDir, name, 'cluster/base')).catch(() => undefined)) ? name : undefined;
    });
    await killAndWait(starter);
    expect(await readdir(dataDir)).not.toContain('postgres');

    const postgres = await start(dataDir);
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await postgres.stop();
    // initdb was orphaned and may have written on for a moment, so the sweep of the next start counts.
    await (await start(dataDir)).stop();
    expect(await readdir(dataDir)).not.toContain(leftover);
  });

  it('of two services at once lets exactly one have the folder', async () => {
    const dataDir = await makeDataDir();
    const outcomes = await Promise.allSettled([start(dataDir), start(dataDir), start(dataDir)]);

    const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    const losers = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(winners).toHaveLength(1);
    for (const { reason } of losers) expect(reason.message).toContain('Another Turnpike service');
    expect(await query(winners[0]!.value.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await winners[0]!.value.stop();
    expect(await readdir(dataDir)).toEqual(['postgres', 'postgres.log', 'postgres.password']);
  });
});

describe('a later start', () => {
  it('finds the data again, after a stop that ended the server', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const first = await start(dataDir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const postmaster = await postmasterOf(first.dataDir);
    await Promise.all([first.stop(), first.stop()]);
    expect(await isRunning(postmaster)).toBe(false);
    await first.stop();

    const second = await start(dataDir);
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await second.stop();
  });

  it('is refused while another service has the folder, and leaves that one alone', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const first = await start(dataDir);
    expect((await failure(dataDir)).message).toContain(`Another Turnpike service uses the data folder ${dataDir}`);
    expect(await query(first.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await first.stop();
  });

  it('takes over the server of a service that was killed, and ends it at its own stop', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const starter = spawnStarter(dataDir, { hold: true });
    const url = await firstLine(starter);
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const left = await postmasterOf(join(dataDir, 'postgres'));
    await killAndWait(starter);

    const postgres = await start(dataDir);
    expect(postgres.url).toBe(url);
    expect(await query(postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await postgres.stop();
    expect(await isRunning(left)).toBe(false);
    expect(await findPostmaster(postgres.dataDir)).toBeUndefined();
  });

  it('recovers from a server that was killed with its service', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const starter = spawnStarter(dataDir, { hold: true });
    await query(await firstLine(starter), 'CREATE TABLE kept AS SELECT 42 AS answer');
    const { pid } = await postmasterOf(join(dataDir, 'postgres'));
    await killAndWait(starter);
    process.kill(pid, 'SIGKILL');

    const postgres = await start(dataDir);
    expect(await query(postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    expect((await postmasterOf(postgres.dataDir)).pid).not.toBe(pid);
    await postgres.stop();
  });

  it('waits for a server that is about to end', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const first = await start(dataDir);
    const stopped = first.stop();
    const second = await start(dataDir);
    await stopped;
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await second.stop();
  });

  it('replaces a server of another installation', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const cluster = join(dataDir, 'postgres');
    const { postgres: program } = await loadBinaries(undefined, () => undefined);
    const alias = join(dirname(dataDir), 'postgres');
    await symlink(program, alias);
    const port = await freePort();
    const args = ['-D', cluster, '-h', '127.0.0.1', '-p', String(port), '-k', ''];
    const other = spawn(alias, args, { stdio: 'ignore', ...(isRoot && NOBODY) });
    children.push(other);
    const exited = once(other, 'exit');
    expect((await postmasterOf(cluster)).pid).toBe(other.pid);

    const postgres = await start(dataDir);
    expect(await exited).toEqual([0, null]);
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await postgres.stop();
  });

  it('is not misled by the pid file of a process that has ended', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const cluster = join(dataDir, 'postgres');
    const ended = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
    await once(ended, 'exit');
    await writePidFile(cluster, ended.pid!);
    await (await start(dataDir)).stop();
  });

  it('is not misled by the pid file of a process whose pid another program has by now', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const cluster = join(dataDir, 'postgres');
    const stranger = spawn('sleep', ['600'], { stdio: 'ignore', ...(isRoot && NOBODY) });
    children.push(stranger);
    await once(stranger, 'spawn');
    await writePidFile(cluster, stranger.pid!);

    await (await start(dataDir)).stop();
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
  });

  it('keeps its process neither alive nor from going on when the lock session breaks', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const starter = spawnStarter(dataDir, { hold: false });
    await firstLine(starter);
    const [code] = starter.exitCode === null ? await once(starter, 'exit') : [starter.exitCode];
    expect(code).toBe(0);

    const postgres = await start(dataDir);
    await query(postgres.url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await postgres.stop();
    expect(await findPostmaster(postgres.dataDir)).toBeUndefined();
  });
});

describe('a server that does not answer', () => {
  it('counts as silent, and ends even when it is stopped', async () => {
    const postgres = await start(await makeDataDirWithDatabase());
    const postmaster = await postmasterOf(postgres.dataDir);
    process.kill(postmaster.pid, 'SIGSTOP');

    expect(await connectWhenReady(postmaster, new URL(postgres.url).password, 100)).toBe('silent');
    await endPostmaster(postmaster, 'immediate');
    expect(await isRunning(postmaster)).toBe(false);
    await postgres.stop();
  });
});

describe('a start that cannot succeed', () => {
  it('names both versions where the data is of another major version', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const cluster = join(dataDir, 'postgres');
    await writeFile(join(cluster, 'PG_VERSION'), '17\n');
    const { message } = await failure(dataDir);
    expect(message).toContain(`${cluster} was written by PostgreSQL 17, but PostgreSQL 18 is installed`);
  });

  it('names the log and its last lines where the server ends', async () => {
    const dataDir = await makeDataDir();
    const { message } = await failure(dataDir, { shared_buffers: 'plenty' });
    expect(message).toContain('invalid value for parameter "shared_buffers": "plenty"');
    expect(message).toContain(join(dataDir, 'postgres.log'));
  });

  it('names the password file where it is missing or of another database', async () => {
    const dataDir = await makeDataDirWithDatabase();
    const cluster = join(dataDir, 'postgres');
    await writeFile(`${cluster}.password`, 'of another');
    expect((await failure(dataDir)).message).toContain(`${cluster}.password`);
    expect(await findPostmaster(cluster)).toBeUndefined();
    await unlink(`${cluster}.password`);
    expect((await failure(dataDir)).message).toContain(`${cluster}.password`);
  });

  it('leaves a folder alone that holds something else', async () => {
    const dataDir = await makeDataDir();
    await mkdir(join(dataDir, 'postgres'), { recursive: true });
    await writeFile(join(dataDir, 'postgres/notes.txt'), 'mine');
    const { message } = await failure(dataDir);
    expect(message).toContain(`${join(dataDir, 'postgres')}: the folder is not empty`);
    expect(await readdir(join(dataDir, 'postgres'))).toEqual(['notes.txt']);
    expect((await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-'))).toEqual([]);
  });

  it('says what is wrong where the data folder cannot be made', async () => {
    const dataDir = await makeDataDir();
    await writeFile(dataDir, 'a file');
    const { message } = await failure(join(dataDir, 'below'));
    expect(message).toMatch(/below: ENOTDIR.*DATABASE_URL/);
  });
});

describe('a machine without its binaries', () => {
  it('is told to reinstall, or to name a database', async () => {
    const missing = findNative('@embedded-postgres/none-x64');
    await expect(missing).rejects.toThrow(EmbeddedPostgresError);
    await expect(missing).rejects.toThrow(/@embedded-postgres\/none-x64.*optional dependencies.*DATABASE_URL/);
  });

  it('is told to name a database where there are no binaries for its system', () => {
    expect(packageName('linux')).toBe(`@embedded-postgres/linux-${process.arch}`);
    expect(() => packageName('win32')).toThrow(/not on win32: set DATABASE_URL/);
  });
});

describe('as root', () => {
  asRoot('names the command that mends a database that belongs to root', async () => {
    const dataDir = await makeDataDirWithDatabase();
    await chown(join(dataDir, 'postgres'), 0, 0);
    expect((await failure(dataDir)).message).toContain(`chown -R 65534:65534 ${join(dataDir, 'postgres')}`);
  });

  asRoot('keeps the database in a folder of its own where uid 65534 may not enter the data folder', async () => {
    const barred = await mkdtemp('/root/turnpike-embedded-');
    folders.push(barred);
    const messages: string[] = [];
    const first = await start(join(barred, 'data'), (message) => messages.push(message));
    expect(dirname(dirname(first.dataDir))).toBe(SYSTEM_DIR);
    expect(messages.join('\n')).toContain(dirname(first.dataDir));
    expect(await stat(`${first.dataDir}.password`)).toMatchObject({ uid: 0, mode: 0o100600 });
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();

    // The data stays where it is when the folder opens up later.
    await chmod(barred, 0o755);
    const second = await start(join(barred, 'data'));
    expect(second.dataDir).toBe(first.dataDir);
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await second.stop();
  });

  asRoot('does not begin anew where a database exists that its user can no longer reach', async () => {
    const dataDir = await makeDataDirWithDatabase();
    await chmod(dirname(dataDir), 0o700);
    expect((await failure(dataDir)).message).toContain('chmod o+x');
  });

  asRoot('copies binaries that uid 65534 may not reach, and uses the copy again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-embedded-'));
    folders.push(folder);
    const native = join(folder, 'barred/native');
    const binaries = await loadBinaries(NOBODY, () => undefined);
    await mkdir(join(folder, 'barred'), { mode: 0o700 });
    await chmod(folder, 0o755);
    await cp(binaries.native, native, { recursive: true, verbatimSymlinks: true });
    const barred = { ...binaries, native, postgres: join(native, 'bin/postgres'), initdb: join(native, 'bin/initdb') };

    const messages: string[] = [];
    const log = (message: string) => messages.push(message);
    const systemDir = join(folder, 'system');
    const copies = await Promise.all([
      reachableFor(NOBODY, barred, log, systemDir),
      reachableFor(NOBODY, barred, log, systemDir),
    ]);
    copies.push(await reachableFor(NOBODY, barred, log, systemDir));
    expect(new Set(copies.map((copy) => copy.native))).toEqual(
      new Set([join(systemDir, `binaries-${binaries.packageVersion}`)]),
    );
    expect(messages).toHaveLength(2);
    expect(await readdir(systemDir)).toHaveLength(1);
    expect(await run(copies[0].initdb, ['--version'], NOBODY)).toContain(binaries.major);
    const libraries = await readdir(join(copies[0].native, 'lib'));
    const links = await Promise.all(libraries.map((name) => lstat(join(copies[0].native, 'lib', name))));
    expect(links.some((link) => link.isSymbolicLink()) || process.platform === 'darwin').toBe(true);
  });

  asRoot('is not needed: another user runs the server as itself, and root later goes on as that user', async () => {
    const account = { uid: 1, gid: 1 };
    const dataDir = await makeDataDir();
    await mkdir(dataDir);
    await chown(dataDir, account.uid, account.gid);
    const starter = spawnStarter(dataDir, { hold: true, ...account });
    const url = await firstLine(starter);
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    expect(await stat(join(dataDir, 'postgres'))).toMatchObject({ ...account, mode: 0o040700 });
    expect(await stat(join(dataDir, 'postgres.password'))).toMatchObject({ ...account, mode: 0o100600 });
    await killAndWait(starter);
    await endPostmaster(await postmasterOf(join(dataDir, 'postgres')), 'fast');

    const postgres = await start(dataDir);
    expect(await query(postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    const { pid } = await postmasterOf(postgres.dataDir);
    if (process.platform === 'linux') expect(await stat(`/proc/${pid}`)).toMatchObject(account);
    await postgres.stop();
  });
});
