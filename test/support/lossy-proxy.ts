import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** ReadyForQuery, idle: what PostgreSQL says last, after the commit of a statement that stands alone. */
const COMMITTED = Buffer.from('Z\0\0\0\x05I', 'latin1');

/**
 * A way to PostgreSQL on which an answer can get lost: the statement commits, and its sender only sees a dead line. Or a
 * statement can be held up: its sender waits, and PostgreSQL has never heard of it.
 */
export class LossyProxy {
  private readonly sockets = new Set<Socket>();
  private victim: Buffer | undefined;
  private lost: (() => void) | undefined;
  private toHold: readonly Buffer[] = [];
  private held: (() => void) | undefined;
  private readonly server = createServer((client) => this.join(client));

  constructor(private readonly target: URL) {}

  /** Its address, in the form of the target's. It keeps no process alive. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve).unref());
    const url = new URL(this.target.href);
    url.hostname = '127.0.0.1';
    url.port = String((this.server.address() as AddressInfo).port);
    return url.href;
  }

  /** The next answer to this prepared statement is lost, and its connection with it. Resolves when that has happened. */
  loseAnswerTo({ name }: { name: string }): Promise<void> {
    this.victim = Buffer.from(`${name}\0`);
    return new Promise((resolve) => (this.lost = resolve));
  }

  /** The next of these prepared statements does not arrive, nor what follows on its connection. Resolves when that has happened. */
  hold(...statements: readonly { name: string }[]): Promise<void> {
    this.toHold = statements.map(({ name }) => Buffer.from(`${name}\0`));
    return new Promise((resolve) => (this.held = resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket): void {
    const server = connect(Number(this.target.port || 5432), this.target.hostname);
    let swallowing = false;
    let holding = false;
    const end = () => [client, server].forEach((socket) => socket.destroy());
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', end).on('close', () => {
        this.sockets.delete(socket);
        end();
      });
    }
    client.on('data', (data) => {
      if (holding) return;
      if (this.toHold.some((name) => data.includes(name))) {
        this.toHold = [];
        holding = true;
        return this.held?.();
      }
      if (this.victim && data.includes(this.victim)) {
        this.victim = undefined;
        swallowing = true;
      }
      server.write(data);
    });
    server.on('data', (data) => {
      if (!swallowing) return client.write(data);
      if (data.subarray(-COMMITTED.length).equals(COMMITTED)) {
        end();
        this.lost?.();
      }
      return true;
    });
  }
}
