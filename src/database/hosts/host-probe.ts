import type pg from 'pg';
import type { DatabaseHost } from './database-url.js';
import { inTime } from './in-time.js';

/** True where the session can write: not on a standby, nor where transactions are read-only unless they ask. */
export const TAKES_WRITES = `SELECT current_setting('transaction_read_only') = 'off' AS writes`;
/** Each promotion begins a timeline. */
const TIMELINE = `SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint::text AS timeline`;
/** Not permitted, not supported, not there. */
const NEVER_READ = ['42501', '0A000', '42883'];

export type HostAnswer = { readonly role: 'primary' | 'standby' } | { readonly role: 'silent'; readonly error: Error };

/** Asks one host, over one connection for as long as that lasts, whether it is the primary. */
export class HostProbe {
  private client: pg.Client | undefined;
  /** A connection whose server does not let the timeline be read: asked every second, it would log an error every second. */
  private secretive: pg.Client | undefined;
  private asking: Promise<HostAnswer> | undefined;

  constructor(
    readonly host: DatabaseHost,
    private readonly newClient: (host: DatabaseHost) => pg.Client,
    private readonly timeoutMs: number,
  ) {}

  /** Never fails, and takes no longer than the time-out. */
  ask(): Promise<HostAnswer> {
    this.asking ??= this.askInTime().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  /** -1 where it cannot be known: some services do not let it be read. Never fails, and has the same time-out. */
  async timeline(): Promise<number> {
    const { client } = this;
    if (!client || client === this.secretive) return -1;
    const tooLate = () => {
      this.close();
      return -1;
    };
    try {
      return await inTime(this.readTimeline(client), this.timeoutMs, tooLate);
    } catch (error) {
      if (NEVER_READ.includes((error as { code?: string }).code ?? '')) this.secretive = client;
      return -1;
    }
  }

  close(): void {
    const { client } = this;
    this.client = undefined;
    // Not with a goodbye, to which a host that is gone would never listen.
    client?.connection.stream.destroy();
  }

  private async askInTime(): Promise<HostAnswer> {
    const tooLate = (): HostAnswer => {
      this.close();
      return { role: 'silent', error: new Error(`no answer within ${this.timeoutMs} ms`) };
    };
    try {
      return await inTime(this.askOnce(), this.timeoutMs, tooLate);
    } catch (error) {
      this.close();
      return { role: 'silent', error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  private async readTimeline(client: pg.Client): Promise<number> {
    const { rows } = await client.query<{ timeline: string }>(TIMELINE);
    return Number(rows[0]!.timeline);
  }

  private async askOnce(): Promise<HostAnswer> {
    const client = this.client ?? (await this.connect());
    const { rows } = await client.query<{ writes: boolean }>(TAKES_WRITES);
    return { role: rows[0]!.writes ? 'primary' : 'standby' };
  }

  private async connect(): Promise<pg.Client> {
    const client = this.newClient(this.host);
    const drop = () => {
      if (this.client === client) this.client = undefined;
    };
    client.on('error', drop).on('end', drop);
    this.client = client;
    await client.connect();
    // No types for it; what only looks must not keep the process alive.
    (client as pg.Client & { unref(): void }).unref();
    return client;
  }
}
