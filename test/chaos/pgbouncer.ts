import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../src/database/embedded/postmaster.js';
import { newFolder } from '../support/service-process.js';
import { until } from '../support/until.js';

const PLACES = [
  '/usr/sbin/pgbouncer',
  '/usr/local/sbin/pgbouncer',
  '/usr/local/bin/pgbouncer',
  '/opt/homebrew/bin/pgbouncer',
];
/** It does not run as root. */
const ACCOUNT = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Ends PgBouncer when its standard input ends, which it does with the test too. */
const KEEPER = '"$1" "$2" & read -r line; kill -KILL $!; wait $!';

/** Where PgBouncer is installed; undefined where it is not. */
export const PGBOUNCER = PLACES.find((place) => {
  try {
    accessSync(place, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

/** A PgBouncer in transaction mode before a PostgreSQL, with fewer sessions than its clients would like to have. */
export class Pgbouncer {
  private keeper: ChildProcess | undefined;

  private constructor(
    readonly url: string,
    private readonly config: string,
  ) {}

  /** Resolves when it takes connections to the database that the URL names. */
  static async start(target: string, poolSize: number): Promise<Pgbouncer> {
    const { hostname, port, username, password, pathname } = new URL(target);
    const folder = newFolder();
    const config = join(folder, 'pgbouncer.ini');
    const users = join(folder, 'users.txt');
    const listenPort = await freePort();
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    writeFileSync(users, `${quoted(username)} ${quoted(decodeURIComponent(password))}\n`);
    writeFileSync(
      config,
      `[databases]
* = host=${hostname} port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
server_login_retry = 1
`,
    );
    const url = `postgres://${username}:${password}@127.0.0.1:${listenPort}${pathname}`;
    const pgbouncer = new Pgbouncer(url, config);
    await pgbouncer.comeUp();
    return pgbouncer;
  }

  /** SIGKILL: all its connections break. */
  async restart(): Promise<void> {
    await this.stop();
    await this.comeUp();
  }

  async stop(): Promise<void> {
    const running = this.keeper;
    this.keeper = undefined;
    if (!running || running.exitCode !== null) return;
    running.stdin!.end();
    await once(running, 'exit');
  }

  private async comeUp(): Promise<void> {
    const stdio: StdioOptions = ['pipe', 'ignore', 'pipe'];
    const args = ['-c', KEEPER, 'sh', PGBOUNCER!, this.config];
    const keeper = spawn('/bin/sh', args, { ...ACCOUNT, cwd: '/', env: {}, stdio });
    this.keeper = keeper;
    let log = '';
    keeper.stderr!.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-10_000)));
    await until(
      () => `PgBouncer is up: ${log}`,
      () => log.includes('process up'),
    );
  }
}
