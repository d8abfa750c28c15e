import { spawn, type ChildProcess } from 'node:child_process';
import { access, constants, mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';

/** Where redis-server is; undefined where there is none. REDIS_SERVER names one that is not on the PATH. */
export async function findRedis(): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];
  const places = [process.env.REDIS_SERVER ?? '', ...folders.map((folder) => join(folder, 'redis-server'))];
  for (const place of places) {
    if (place !== '' && (await isExecutable(place))) return place;
  }
  return undefined;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

export interface RedisServer {
  /** Lacks the number of the database. */
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

/** Append-only file on, snapshots off: durable up to the last second (`everysec`), or with every write (`always`). */
export async function startRedis(program: string, folder: string, fsync: 'everysec' | 'always'): Promise<RedisServer> {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const options = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'yes', appendfsync: fsync };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawn(program, args, { stdio: 'ignore' });
  const url = `redis://127.0.0.1:${port}/`;
  try {
    return { url, version: await versionOf(url, server), stop: () => stop(server) };
  } catch (error) {
    await stop(server);
    throw error;
  }
}

async function versionOf(url: string, server: ChildProcess): Promise<string> {
  const redis = new Redis(url, { maxRetriesPerRequest: 50, retryStrategy: () => 100 });
  redis.on('error', () => undefined);
  const failed = new Promise<never>((_, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
  });
  try {
    const info = await Promise.race([redis.info('server'), failed]);
    return /redis_version:(\S+)/.exec(info)?.[1] ?? '';
  } finally {
    redis.disconnect();
  }
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
