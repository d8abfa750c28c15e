import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import ipaddr from 'ipaddr.js';
import { AuthLedger } from './auth-ledger.js';

/** Failures of an address within a window, after which it is told to wait. */
const MOST_FAILURES = 20;
const WINDOW_MS = 60_000;
/** Addresses that are remembered; whoever comes from more of them pushes the oldest out. */
const MOST_ADDRESSES = 10_000;
/** Entries of the ledger within a window, over all addresses; what is more is summed up in one. */
const MOST_ENTRIES = 60;

export interface Failure {
  readonly address: string;
  readonly reason: string;
  /** What may be shown of the key. */
  readonly keyPrefix?: string;
}

interface Tally extends Failure {
  endsAt: number;
  count: number;
  /** So many of them are in the ledger. */
  noted: number;
  since: Date;
}

/**
 * Who was turned away: counted by address, for a limit, and written into the ledger. The first failure of an address in a
 * minute is written at once, those that follow with the end of the minute, as one entry with their number. All of it is of
 * this process and in bounded memory.
 */
@Injectable()
export class LoginFailures implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Auth');
  private readonly tallies = new Map<string, Tally>();
  private timer: NodeJS.Timeout | undefined;
  private entries = 0;
  private beyond = { count: 0, addresses: 0 };

  constructor(private readonly ledger: AuthLedger) {}

  /** Counts it. Seconds for which the address is to wait, where it has failed too often; 0 otherwise. */
  note({ address, reason, keyPrefix }: Failure): number {
    const now = performance.now();
    const network = networkOf(address);
    const known = this.tallies.get(network);
    const tally = known && known.endsAt > now ? known : this.begin(network, reason, keyPrefix, now);
    tally.count++;
    if (tally.count <= MOST_FAILURES) return 0;
    return Math.max(1, Math.ceil((tally.endsAt - now) / 1_000));
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearTimeout(this.timer);
    await this.close(Infinity);
  }

  private begin(address: string, reason: string, keyPrefix: string | undefined, now: number): Tally {
    const before = this.tallies.get(address);
    if (before) void this.end(address, before);
    else if (this.tallies.size >= MOST_ADDRESSES) {
      const [oldest, tally] = this.tallies.entries().next().value!;
      void this.end(oldest, tally);
    }
    const tally: Tally = {
      ...{ address, reason, ...(keyPrefix === undefined ? {} : { keyPrefix }) },
      ...{ endsAt: now + WINDOW_MS, count: 0, noted: 0, since: new Date() },
    };
    this.tallies.set(address, tally);
    if (this.entries < MOST_ENTRIES) {
      tally.noted = 1;
      void this.write(tally, 1);
    }
    this.timer ??= setTimeout(() => void this.tick(), WINDOW_MS).unref();
    return tally;
  }

  private async tick(): Promise<void> {
    this.timer = undefined;
    this.entries = 0;
    await this.close(performance.now());
    if (this.tallies.size > 0) this.timer = setTimeout(() => void this.tick(), WINDOW_MS).unref();
  }

  /** Ends what has ended by then. */
  private async close(by: number): Promise<void> {
    const writing: Promise<void>[] = [];
    for (const [address, tally] of this.tallies) {
      if (tally.endsAt > by) continue;
      writing.push(this.end(address, tally));
    }
    if (this.beyond.count > 0) {
      const detail = { ...this.beyond };
      this.beyond = { count: 0, addresses: 0 };
      writing.push(this.noteDown(detail));
    }
    await Promise.all(writing);
  }

  private end(address: string, tally: Tally): Promise<void> {
    this.tallies.delete(address);
    const rest = tally.count - tally.noted;
    if (rest === 0) return Promise.resolve();
    if (this.entries < MOST_ENTRIES) return this.write(tally, rest);
    this.beyond.count += rest;
    this.beyond.addresses++;
    return Promise.resolve();
  }

  private write({ address, reason, keyPrefix, since }: Tally, count: number): Promise<void> {
    this.entries++;
    const prefix = keyPrefix === undefined ? {} : { key_prefix: keyPrefix };
    return this.noteDown({ address, reason, ...prefix, count, since: since.toISOString() });
  }

  /** Nobody who is turned away waits for this, or learns that it failed. */
  private async noteDown(detail: Readonly<Record<string, unknown>>): Promise<void> {
    try {
      await this.ledger.note({ actor: 'unknown', cause: 'login_failed', detail });
    } catch (error) {
      this.logger.warn({ msg: 'A failed login could not be noted', ...detail, error: (error as Error).message });
    }
  }
}

/** An address of IPv4; of IPv6 its network of 64 bits, all of which is one caller's. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  const parts = (parsed as ipaddr.IPv6).parts.slice(0, 4).map((part) => part.toString(16));
  return `${parts.join(':')}::/64`;
}
