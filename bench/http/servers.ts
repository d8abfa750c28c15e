import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../harness/redis.ts';

export interface RunningServer {
  readonly url: string;
  readonly headers: Record<string, string>;
  /** Counts what it has stored; undefined where it stores nothing. */
  readonly count: string | undefined;
  stop(): Promise<void>;
}

const TOKEN = 'bench-admin-token-0123456789';
const ROOT = join(import.meta.dirname, '../..');

/** The service itself, as an instance that takes submissions and runs nothing. */
export async function startTurnpike(databaseUrl: string): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-bench-http-'));
  const port = await freePort();
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: databaseUrl,
    DATA_DIR: folder,
    GOLDEN_PATHS_FILE: join(ROOT, 'goldenpaths.yaml'),
    ADMIN_TOKEN: TOKEN,
    PORT: String(port),
    ROLE: 'api',
    RATE_LIMIT_PER_MINUTE: '0',
    LOG_LEVEL: 'warn',
    LOG_FORMAT: 'json',
  };
  // Not in the folder above, which may have a .env.
  const stdio = ['ignore', 'inherit', 'inherit'] as const;
  const child = spawn(process.execPath, [join(ROOT, 'dist/main.js')], { cwd: folder, env, stdio: [...stdio] });
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = async () => {
    await end(child);
    process.off('exit', kill);
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await untilReady(`${url}/ready`, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, headers: { authorization: `Bearer ${TOKEN}` }, count: 'SELECT count(*) FROM queue_tasks', stop };
}

export async function startFastify(how: string, databaseUrl: string): Promise<RunningServer> {
  const child = fork(join(import.meta.dirname, 'bare-fastify.ts'), [how, databaseUrl]);
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url));
    child.once('exit', (code) => reject(new Error(`the bare Fastify ended with ${code}`)));
  });
  const count = how === 'nothing' ? undefined : 'SELECT count(*) FROM submission';
  return { url, headers: {}, count, stop: () => end(child) };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline && child.exitCode === null) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await delay(50);
  }
  throw new Error('the service does not become ready');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
