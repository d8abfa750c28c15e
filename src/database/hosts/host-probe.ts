import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { DatabaseHost } from './database-url.js';

/** True where the session can write: not on a standby, nor where transactions are read-only unless they ask. */
export const TAKES_WRITES = `SELECT current_setting('transaction_read_only') = 'off' AS writes`;
/** Each promotion begins a timeline. */
const TIMELINE = `SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint::text AS timeline`;

export type HostAnswer = { readonly role: 'primary' | 'standby' } | { readonly role: 'silent'; readonly error: Error };

/** Asks one host, over one connection for as long as that lasts, whether it is the primary. */
export class HostProbe {
  private client: pg.Client | undefined;
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

  /** -1 where it cannot be known: some services do not let it be read. */
  async timeline(): Promise<number> {
    try {
      const { rows } = await this.client!.query<{ timeline: string }>(TIMELINE);
      return Number(rows[0]!.timeline);
    } catch {
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
    const late = new AbortController();
    const tooLate = async (): Promise<HostAnswer> => {
      await delay(this.timeoutMs, undefined, { signal: late.signal, ref: false });
      this.close();
      return { role: 'silent', error: new Error(`no answer within ${this.timeoutMs} ms`) };
    };
    try {
      return await Promise.race([this.askOnce(), tooLate()]);
    } catch (error) {
      this.close();
      return { role: 'silent', error: error instanceof Error ? error : new Error(String(error)) };
    } finally {
      late.abort();
    }
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
