import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import type { Store } from '../contestants/catalogue.ts';
import { startEmbeddedPostgres } from '../contestants/turnpike-package.ts';
import { findRedis, startRedis, type RedisServer } from './redis.ts';
import { onPostgres } from './store.ts';

/** The servers of one run: one PostgreSQL for all, and a Redis for each way of fsync. */
export class Stores {
  private counter = 0;
  private readonly folder: string;
  private readonly postgres: Awaited<ReturnType<typeof startEmbeddedPostgres>>;
  private readonly redis: Partial<Record<Store, RedisServer>>;
  /** Printed in the report. */
  readonly facts: Record<string, string>;

  private constructor(
    folder: string,
    postgres: Stores['postgres'],
    redis: Stores['redis'],
    facts: Record<string, string>,
  ) {
    this.folder = folder;
    this.postgres = postgres;
    this.redis = redis;
    this.facts = facts;
  }

  static async start(needed: ReadonlySet<Store>, short: boolean): Promise<Stores> {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-bench-'));
    // PostgreSQL runs as another user when the bench runs as root.
    await chmod(folder, 0o755);
    const postgres = await startEmbeddedPostgres({
      dataDir: join(folder, 'data'),
      // A test of the bench measures nothing, and may save itself the disk's time.
      settings: short ? { fsync: 'off' } : {},
    });
    const redis: Stores['redis'] = {};
    const program = await findRedis();
    for (const fsync of ['everysec', 'always'] as const) {
      if (!program || !needed.has(`redis-${fsync}`)) continue;
      redis[`redis-${fsync}`] = await startRedis(program, join(folder, `redis-${fsync}`), fsync);
    }
    const facts = await factsOf(postgres.url, Object.values(redis)[0]?.version);
    return new Stores(folder, postgres, redis, facts);
  }

  has(store: Store): boolean {
    return store === 'postgres' || this.redis[store] !== undefined;
  }

  /** An empty place. In a Redis there is one `fresh` place and one `kept` place at a time. */
  async create(store: Store, use: 'fresh' | 'kept'): Promise<string> {
    if (store !== 'postgres') {
      const url = this.redis[store]!.url + (use === 'fresh' ? 0 : 1);
      await this.drop(url);
      return url;
    }
    const name = `bench_${++this.counter}`;
    await onPostgres(this.postgres.url, `CREATE DATABASE ${name}`);
    const url = new URL(this.postgres.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  async drop(url: string): Promise<void> {
    if (url.startsWith('postgres')) {
      await onPostgres(this.postgres.url, `DROP DATABASE ${new URL(url).pathname.slice(1)} WITH (FORCE)`);
      return;
    }
    const redis = new Redis(url);
    await redis.flushdb();
    redis.disconnect();
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.redis).map((server) => server.stop()));
    await this.postgres.stop();
    await rm(dirname(this.postgres.dataDir), { recursive: true, force: true });
    await rm(this.folder, { recursive: true, force: true });
  }
}

const SHOWN = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'max_connections'];

async function factsOf(url: string, redis: string | undefined): Promise<Record<string, string>> {
  const rows = await onPostgres<{ name: string; value: string }>(
    url,
    `SELECT name, current_setting(name) AS value FROM pg_settings
     WHERE name = ANY('{server_version,${SHOWN.join(',')}}'::text[])`,
  );
  const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  const postgres = SHOWN.map((name) => `${name} ${settings[name]}`).join(', ');
  return {
    PostgreSQL: `${settings.server_version}, embedded, on this machine; ${postgres}; all else as it comes`,
    Redis: redis
      ? `${redis}, on this machine; appendonly yes, appendfsync as the name says, no snapshots`
      : 'not found',
  };
}
