import pg from 'pg';
import { TAKES_WRITES } from './host-probe.js';
import { NoPrimaryError, pointAt, type PrimaryWatch } from './primary-watch.js';
import { hostName } from './database-url.js';

/** The class of clients, for a pool or alone, that connect to the primary, whichever host that is when they do. */
export function primaryClient(watch: PrimaryWatch): typeof pg.Client {
  return class PrimaryClient extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: ((error: Error) => void) | ((error: null, client: pg.Client) => void)): void;
    override connect(callback?: (error: never, client: never) => void): Promise<pg.Client> | void {
      const connected = this.connectToPrimary();
      if (!callback) return connected;
      const tell = callback as (error: Error | null, client?: pg.Client) => void;
      connected.then(
        () => tell(null, this),
        (error: Error) => tell(error),
      );
    }

    private async connectToPrimary(): Promise<pg.Client> {
      // Between here and the moment at which its user listens nobody else would hear an 'error', and that ends the process.
      this.on('error', () => undefined);
      const host = await watch.find();
      pointAt(this, host);
      try {
        await super.connect();
        const { rows } = await this.query<{ writes: boolean }>(TAKES_WRITES);
        if (!rows[0]!.writes) throw new NoPrimaryError(`${hostName(host)} takes no writes any more`);
      } catch (error) {
        watch.doubt(host);
        this.connection.stream.destroy();
        throw error;
      }
      watch.add(this, host);
      return this;
    }
  };
}
