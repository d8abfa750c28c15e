import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import type { Dice } from './round.js';

/** ReadyForQuery, idle: what PostgreSQL says last, after the commit of a statement that stands alone. */
const COMMITTED = Buffer.from('Z\0\0\0\x05I', 'latin1');

/** Where in the exchange of one statement the line is cut. */
export const CUTS = ['before', 'torn', 'at once', 'answer torn', 'answer lost'] as const;
type Cut = (typeof CUTS)[number];

/** Statements that are told apart by their names, as one thing that a test cuts. */
export interface Target {
  readonly called: string;
  readonly names: readonly string[];
  /** How often it is to be cut in each way. */
  readonly wanted: number;
}

/** A way to PostgreSQL that is cut in the middle of chosen statements: each in all ways, when the dice say so. */
export class CuttingProxy {
  /** How often each target was cut in each way. */
  readonly done = new Map<string, Record<Cut, number>>();
  private readonly sockets = new Set<Socket>();
  private readonly server = createServer((client) => this.join(client));
  private readonly address: URL;
  private cutting = false;

  constructor(
    database: string,
    private readonly targets: readonly Target[],
    private readonly dice: Dice,
  ) {
    this.address = new URL(database);
    for (const { called } of targets) {
      this.done.set(called, { before: 0, torn: 0, 'at once': 0, 'answer torn': 0, 'answer lost': 0 });
    }
  }

  /** Its address, in the form of the database's. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const url = new URL(this.address.href);
    url.hostname = '127.0.0.1';
    url.port = String((this.server.address() as AddressInfo).port);
    return url.href;
  }

  begin(): void {
    this.cutting = true;
  }

  /** From now on everything passes. */
  end(): void {
    this.cutting = false;
  }

  /** What has not been cut as often as wanted. */
  get missing(): string[] {
    return this.targets.flatMap(({ called, wanted }) =>
      CUTS.filter((cut) => this.done.get(called)![cut] < wanted).map((cut) => `${called} ${cut}`),
    );
  }

  get cuts(): number {
    return [...this.done.values()].reduce((sum, counts) => sum + CUTS.reduce((n, cut) => n + counts[cut], 0), 0);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket): void {
    const server = connect(Number(this.address.port || 5432), this.address.hostname);
    let cut: Cut | undefined;
    const end = () => [client, server].forEach((socket) => socket.destroy());
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', end).on('close', () => {
        this.sockets.delete(socket);
        // PostgreSQL may still read what it was sent.
        if (cut !== 'at once' || socket === server) end();
      });
    }
    client.on('data', (data) => {
      cut ??= this.cutFor(data);
      if (cut === 'before') return end();
      if (cut === 'torn') return void server.write(data.subarray(0, data.length >> 1), end);
      server.write(data);
      if (cut === 'at once') {
        server.end();
        client.destroy();
      }
    });
    server.on('data', (data) => {
      if (cut === undefined) return client.write(data);
      if (cut === 'answer torn') client.write(data.subarray(0, data.length >> 1), end);
      else if (data.subarray(-COMMITTED.length).equals(COMMITTED)) end();
      return true;
    });
  }

  private cutFor(data: Buffer): Cut | undefined {
    if (!this.cutting) return undefined;
    const target = this.targets.find(({ names }) => names.some((name) => data.includes(`${name}\0`, 0, 'latin1')));
    if (!target) return undefined;
    const counts = this.done.get(target.called)!;
    const least = Math.min(...CUTS.map((cut) => counts[cut]));
    if (this.dice.next() > (least < target.wanted ? OFTEN : SELDOM)) return undefined;
    const cut = this.dice.pick(CUTS.filter((way) => counts[way] === least));
    counts[cut]++;
    return cut;
  }
}

/** Never each time: a repeated statement comes through in the end. */
const OFTEN = 0.4;
const SELDOM = 0.15;
