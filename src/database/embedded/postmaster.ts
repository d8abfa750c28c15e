import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Binaries } from './binaries.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import type { Place } from './place.js';
import { CLEAN_ENVIRONMENT, commandLine } from './processes.js';

const POLL_MS = 25;
const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** A running PostgreSQL server: the process that accepts connections and starts all others. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly cluster: string;
  /** The log's size before this server began to write; undefined for one that was running already. */
  readonly logOffset?: number;
}

/** The postmaster that runs on the cluster; undefined where none does, whatever its pid file says. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const file = await readPidFile(cluster);
  if (!file || !(await isRunning({ ...file, cluster }))) return undefined;
  return { pid: file.pid, port: file.port, cluster };
}

/** False once the process has ended, also where its pid has been given to another one. */
export async function isRunning({ pid, cluster }: Pick<Postmaster, 'pid' | 'cluster'>): Promise<boolean> {
  const command = await commandLine(pid);
  return command.includes('postgres') && command.includes(` -D ${cluster} `);
}

/** Whether the server was started from these binaries. */
export async function runsFrom(binaries: Binaries, { pid }: Postmaster): Promise<boolean> {
  return (await commandLine(pid)).startsWith(`${binaries.postgres} `);
}

/**
 * Starts a server on a free port of the loopback interface. It may end at once: another starter may have been faster,
 * or taken the port. PostgreSQL itself sees to it that at most one server runs on a cluster.
 */
export async function launchPostmaster(
  place: Place,
  binaries: Binaries,
  settings: Record<string, string>,
): Promise<Postmaster> {
  await removeForeignPidFile(place.cluster);
  await rotateLog(place.logFile);
  const log = await open(place.logFile, 'a', 0o600);
  try {
    const logOffset = (await log.stat()).size;
    const port = await freePort();
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const address = ['-h', '127.0.0.1', '-p', String(port), '-k', ''];
    const child = spawn(binaries.postgres, ['-D', place.cluster, ...address, ...options], {
      ...place.account,
      // A session of its own: Ctrl-C and a closed terminal are for the service, which drains before the database ends.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: CLEAN_ENVIRONMENT,
      cwd: '/',
    });
    await once(child, 'spawn');
    child.unref();
    return { pid: child.pid!, port, cluster: place.cluster, logOffset };
  } finally {
    await log.close();
  }
}

/** What a server that this process started has written to its log. */
export async function logOf({ logFile }: Place, { logOffset }: Postmaster): Promise<string> {
  const log = await readFile(logFile).catch(() => Buffer.alloc(0));
  return log.subarray(logOffset ?? log.length).toString('utf8');
}

/**
 * Ends the server and waits until it is gone. `fast` ends its sessions and writes a checkpoint; `immediate` leaves the
 * cluster to crash recovery. A server that does not react is killed, which recovery makes good as well.
 */
export async function endPostmaster(postmaster: Postmaster, mode: 'fast' | 'immediate'): Promise<void> {
  const steps = [
    { signal: 'SIGINT', patienceMs: 60_000 },
    { signal: 'SIGQUIT', patienceMs: 10_000 },
    { signal: 'SIGKILL', patienceMs: 10_000 },
  ] as const;
  for (const { signal, patienceMs } of mode === 'fast' ? steps : steps.slice(1)) {
    const deadline = performance.now() + patienceMs;
    // A stopped process takes a signal only when it goes on.
    for (const each of [signal, 'SIGCONT'] as const) if (await isRunning(postmaster)) kill(postmaster.pid, each);
    while (performance.now() < deadline) {
      if (!(await isRunning(postmaster))) return;
      await delay(POLL_MS);
    }
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL (process ${postmaster.pid}, database in ${postmaster.cluster}) does not end, ` +
      'not even when killed: end it by hand',
  );
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function readPidFile(cluster: string): Promise<{ pid: number; port: number; text: string } | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  return pid > 0 && port > 0 ? { pid, port, text } : undefined;
}

/**
 * PostgreSQL refuses to start when the pid in a stale pid file belongs to any process of its account by now. Such a
 * file is moved away first and looked at again: where another starter has put its own in between, it goes back. Should
 * two servers ever get past this, the second stops at the shared memory that is tied to the cluster's inode.
 */
async function removeForeignPidFile(cluster: string): Promise<void> {
  const stale = await readPidFile(cluster);
  if (!stale || !isTaken(stale.pid) || (await isRunning({ ...stale, cluster }))) return;
  const path = join(cluster, 'postmaster.pid');
  const aside = `${path}.stale-${process.pid}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) === stale.text) await rm(aside);
    else await rename(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Whether the kernel knows the pid, be it of a zombie. */
function isTaken(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function rotateLog(logFile: string): Promise<void> {
  const size = await stat(logFile).then(
    (found) => found.size,
    () => 0,
  );
  if (size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.1`);
}

/** A port of the loopback interface that nobody holds at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
