import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { appendFileSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';
import { freePort } from '../../src/database/embedded/postmaster.js';
import { migrate } from '../../src/database/migrate.js';
import { isRunning } from '../support/processes.js';
import { newFolder, postmasterOf } from '../support/service-process.js';
import { until } from '../support/until.js';

/** The processes die, not the machine: what is committed is with the kernel, and stays. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', max_connections: '100' };

/** A PostgreSQL that a test may end as it likes and start again at the same address; it is gone after `cleanUp()`. */
export class OwnPostgres {
  private constructor(
    readonly url: string,
    private readonly folder: string,
    private readonly command: readonly string[],
  ) {}

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<OwnPostgres> {
    const folder = newFolder();
    const first = await startEmbeddedPostgres({ dataDir: folder, settings: { ...SETTINGS, ...settings } });
    await migrate(first.url);
    const command = readFileSync(`/proc/${postmasterOf(folder)!}/cmdline`, 'utf8')
      .split('\0')
      .slice(0, -1);
    await first.stop();
    const own = new OwnPostgres(first.url, folder, command);
    await own.comeBack();
    return own;
  }

  /** Another server that follows this one, as `pg_basebackup` and `standby.signal` make it; resolves when it streams. */
  async standby(): Promise<OwnPostgres> {
    const folder = newFolder();
    const cluster = join(folder, 'postgres');
    const from = this.command[this.command.indexOf('-D') + 1]!;
    const session = new pg.Client({ connectionString: this.url });
    await session.connect();
    try {
      // The server may go on writing while it is copied: what was torn is mended from the log since the start.
      await session.query(`SELECT pg_backup_start('standby', true)`);
      await promisify(execFile)('cp', ['-a', from, cluster]);
      const { rows } = await session.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
      writeFileSync(join(cluster, 'backup_label'), rows[0]!.labelfile);
    } finally {
      await session.end();
    }
    for (const file of ['postmaster.pid', 'postmaster.opts']) rmSync(join(cluster, file), { force: true });
    const { hostname, port, username, password } = new URL(this.url);
    const primary = `host=${hostname} port=${port} user=${username} password=${password} application_name=standby`;
    appendFileSync(join(cluster, 'postgresql.auto.conf'), `primary_conninfo = '${primary}'\n`);
    writeFileSync(join(cluster, 'standby.signal'), '');
    const { uid, gid } = statSync(cluster);
    for (const file of ['backup_label', 'standby.signal']) chownSync(join(cluster, file), uid, gid);
    const url = new URL(this.url);
    url.port = String(await freePort());
    const changes = new Map([
      [from, cluster],
      [port, url.port],
    ]);
    const standby = new OwnPostgres(
      url.href,
      folder,
      this.command.map((word) => changes.get(word) ?? word),
    );
    await standby.comeBack();
    const streaming = `SELECT FROM pg_stat_replication WHERE state = 'streaming'`;
    await until('the standby streams', async () => (await this.query(streaming)).length === 1);
    return standby;
  }

  /** SIGKILL for the server; its processes end when they notice. */
  async kill(): Promise<void> {
    const pid = postmasterOf(this.folder)!;
    process.kill(pid, 'SIGKILL');
    await until('PostgreSQL has ended', () => !isRunning(pid));
  }

  /** SIGQUIT: without goodbye, to recover from its log. */
  async goDown(): Promise<void> {
    const pid = postmasterOf(this.folder)!;
    process.kill(pid, 'SIGQUIT');
    await until('PostgreSQL has ended', () => !isRunning(pid));
  }

  /** Resolves when it answers. */
  async comeBack(): Promise<void> {
    const [program, ...args] = this.command;
    const { uid, gid } = this.owner;
    // Processes of the server before may not have noticed its end: then this one ends, and the next try is another one.
    let server: ChildProcess | undefined;
    const answers = async () => {
      if (server?.exitCode !== null) {
        server = spawn(program!, args, { uid, gid, cwd: '/', env: {}, stdio: 'ignore', detached: true });
        server.unref();
      }
      return this.query('SELECT 1').then(
        () => true,
        () => false,
      );
    };
    await until('PostgreSQL answers', answers, { everyMs: 50 });
  }

  /** Who its processes run as. */
  get owner(): { readonly uid: number; readonly gid: number } {
    return statSync(this.command[this.command.indexOf('-D') + 1]!);
  }

  /** Ends all sessions but its own, or those of them for which a condition on pg_stat_activity holds; their number. */
  async terminateConnections(condition = 'true'): Promise<number> {
    const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND (${condition})`;
    return (await this.query(sql)).length;
  }

  /** A session for as long as a test likes, and whatever new sessions are told about time limits and writing. */
  async session(): Promise<pg.Client> {
    const client = this.newClient();
    await client.connect();
    return client;
  }

  /** Over a connection of its own, since no other lasts. */
  readonly query = async (sql: string, params?: unknown[]): Promise<pg.QueryResult['rows']> => {
    const client = await this.session();
    try {
      return (await client.query(sql, params)).rows;
    } finally {
      // Not waited for: it may never hear of an end that the server had not the time to say.
      void client.end().catch(() => undefined);
    }
  };

  private newClient(): pg.Client {
    const client = new pg.Client({
      ...{ connectionString: this.url, connectionTimeoutMillis: 2_000, query_timeout: 10_000 },
      options: '-c statement_timeout=0 -c default_transaction_read_only=off',
    });
    client.on('error', () => undefined);
    return client;
  }
}
