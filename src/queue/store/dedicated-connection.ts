import type pg from 'pg';
import type { QueueDatabase, Statement } from './queue-database.js';

/**
 * A connection for one purpose, opened when first used and again after it broke. Nothing retries here: whoever uses it
 * comes back on a timer anyway.
 */
export class DedicatedConnection {
  private current: Promise<pg.Client> | undefined;
  private closed = false;

  /** `prepare` runs on each new connection before anyone else uses it. */
  constructor(
    private readonly database: QueueDatabase,
    private readonly timeoutMs: number,
    private readonly prepare: (client: pg.Client) => Promise<void> = async () => undefined,
  ) {}

  get(): Promise<pg.Client> {
    if (this.closed) return Promise.reject(new Error('the connection is closed'));
    this.current ??= this.open();
    return this.current;
  }

  /** Runs a statement; whatever goes wrong, the connection is given up, since its state is unknown. */
  async run<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    const used = this.get();
    const client = await used;
    try {
      return (await client.query(this.database.queryOf(statement, values))).rows as Row[];
    } catch (error) {
      // A statement before this one may have given it up already, and a new one may be open.
      if (this.current === used) this.current = undefined;
      void client.end().catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.giveUp();
  }

  /** Ends the connection; whoever comes next gets a new one. */
  async giveUp(): Promise<void> {
    const given = this.current;
    this.current = undefined;
    const client = await given?.catch(() => undefined);
    await client?.end().catch(() => undefined);
  }

  private open(): Promise<pg.Client> {
    const client = this.database.newClient(this.timeoutMs);
    const drop = () => {
      if (this.current === opened) this.current = undefined;
    };
    client.on('error', drop);
    client.on('end', drop);
    const opened = (async () => {
      try {
        await client.connect();
        await this.prepare(client);
        return client;
      } catch (error) {
        drop();
        void client.end().catch(() => undefined);
        throw error;
      }
    })();
    return opened;
  }
}
