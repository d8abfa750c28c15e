import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { DedicatedConnection } from '../store/dedicated-connection.js';
import { join, leasesOf, leave, renew, startDraining } from '../store/instances.sql.js';
import { QueueDatabase } from '../store/queue-database.js';
import type { RunLease } from '../task-handler.js';

export interface HeldLease {
  readonly id: string;
  readonly lease_token: string;
  readonly cancel_requested: boolean;
  /** Of one that is cancelled: whether its run may clean up. */
  readonly cancel_cleanup: boolean;
}

/** What operators want of an instance; its row in queue_instances holds it. */
export interface InstanceWish {
  readonly workers: number;
  /** Claim nothing, finish what runs. */
  readonly draining: boolean;
}

/** Whoever owns the runs; the heartbeat tells it what the database says of them. */
export interface LeaseHolder {
  /** Every run of this instance has lost its lease. */
  onLeaseLost(): void;
  /** Called before the leases are read; what comes back is handed to `onLeases` with them. */
  beforeLeasesRead(): ReadonlySet<string>;
  onLeases(leases: readonly HeldLease[], known: ReadonlySet<string>): void;
  /** What is wanted has changed. */
  onWish(wish: InstanceWish): void;
}

const MAX_MARGIN_SECONDS = 5;
const RETRY_MS = 500;
/** Where no notification tells of a cancel, it is looked for more often than the lease asks for. */
const DEAF_BEAT_MS = 2_000;

/**
 * Of a lease. Whoever can do nothing for half a lease from the moment before a beat on has three quarters of it behind it,
 * and the deadline, at four fifths or later, still before it.
 */
const BEAT_EVERY = 1 / 4;

/**
 * Keeps this instance's lease: one row in queue_instances, renewed at least every quarter of the lease by the database's
 * clock, on a connection of its own. All claims of the instance live as long as that row does.
 *
 * The local deadline is the moment before the last successful renewal was *sent*, plus the lease, less a margin, by the
 * monotonic clock. Past it every run is aborted, whether or not the database answers; the instance then joins again
 * under a new id, since the old one's claims are anybody's. What operators want of the instance comes with each renewal,
 * and goes with it into its next life.
 */
@Injectable()
export class Heartbeat implements RunLease {
  private readonly logger = new Logger('Queue');
  private readonly connection: DedicatedConnection;
  private readonly listeners = new Set<() => void>();
  private readonly leaseMs: number;
  private readonly marginMs: number;
  private readonly beatMs: number;
  private holder: LeaseHolder | undefined;
  private id = '';
  private until = 0;
  private timer: NodeJS.Timeout | undefined;
  private guard: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;
  private stopped = true;
  private wish: InstanceWish;
  private stopping = false;

  constructor(
    database: QueueDatabase,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {
    this.leaseMs = options.leaseSeconds * 1_000;
    this.marginMs = Math.min(this.leaseMs / 5, MAX_MARGIN_SECONDS * 1_000);
    this.beatMs = Math.min(this.leaseMs * BEAT_EVERY, options.pooler === 'transaction' ? DEAF_BEAT_MS : Infinity);
    this.wish = { workers: options.workers, draining: false };
    this.connection = new DedicatedConnection(database, this.leaseMs / 3);
  }

  /** The id of this life of the instance; '' while it has none. */
  get instanceId(): string {
    return this.id;
  }

  /** Whether claims and writes of this instance can count now. */
  get alive(): boolean {
    return this.id !== '' && performance.now() < this.until;
  }

  deadline(): number {
    return this.until;
  }

  onRenewed(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async start(holder: LeaseHolder): Promise<void> {
    this.holder = holder;
    this.stopped = false;
    await this.join();
    this.schedule(this.beatMs);
  }

  /** Renews and looks at the leases now, for a cancel that should not wait for the next beat. */
  async beatNow(): Promise<void> {
    await this.beating; // it may have read the leases before the cancel was written
    if (this.stopped) return;
    clearTimeout(this.timer);
    await this.beat();
  }

  /** The process is about to end. */
  async startDraining(): Promise<void> {
    this.stopping = true;
    await this.connection.run(startDraining, [this.id]).catch(() => undefined);
  }

  /** Leaves the cluster. With leases still held the row stays, for the rescuer to find. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.guard);
    await this.beating;
    if (this.id !== '') await this.connection.run(leave, [this.id]).catch(() => undefined);
    this.id = '';
    await this.connection.close();
  }

  private async join(): Promise<void> {
    const id = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
    const sent = performance.now();
    const { leaseSeconds, version } = this.options;
    const { workers, draining } = this.wish;
    const row = [hostname(), process.pid, version, workers, draining || this.stopping, this.stopping];
    await this.connection.run(join, [id, leaseSeconds, ...row]);
    this.id = id;
    this.renewedAt(sent);
  }

  private beat(): Promise<void> {
    this.beating ??= this.beatOnce().finally(() => {
      this.beating = undefined;
    });
    return this.beating;
  }

  private async beatOnce(): Promise<void> {
    let next = this.beatMs;
    try {
      if (this.id === '') {
        await this.join();
        this.logger.log({ msg: 'Joined again after a lost lease', instance: this.id });
      } else {
        const id = this.id;
        const sent = performance.now();
        const [renewed] = await this.connection.run<InstanceWish>(renew, [id, this.options.leaseSeconds]);
        if (this.id !== id) {
          next = 0; // the answer came after the deadline: the runs have been told already
        } else if (renewed) {
          this.renewedAt(sent);
          this.comply(renewed);
          await this.reconcile();
        } else {
          this.lose('the database has given it up');
          next = 0;
        }
      }
    } catch (error) {
      next = Math.min(RETRY_MS, next);
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.warn({ msg: 'Heartbeat failed', instance: this.id, error: reason });
    }
    this.schedule(next);
  }

  private comply({ workers, draining }: InstanceWish): void {
    if (workers === this.wish.workers && draining === this.wish.draining) return;
    this.wish = { workers, draining };
    // A drain at the end of the process goes its own way, and for good.
    if (!this.stopping) this.holder?.onWish(this.wish);
  }

  private async reconcile(): Promise<void> {
    const known = this.holder?.beforeLeasesRead() ?? new Set<string>();
    const leases = await this.connection.run<HeldLease>(leasesOf, [this.id]);
    this.holder?.onLeases(leases, known);
  }

  private renewedAt(sent: number): void {
    this.until = sent + this.leaseMs - this.marginMs;
    clearTimeout(this.guard);
    this.guard = setTimeout(() => this.lose('it could not be renewed in time'), this.until - performance.now());
    this.guard.unref();
    for (const listener of this.listeners) listener();
  }

  private lose(why: string): void {
    if (this.id === '') return;
    this.logger.error({ msg: `The lease of this instance is lost: ${why}`, instance: this.id });
    this.id = '';
    this.until = 0;
    clearTimeout(this.guard);
    this.holder?.onLeaseLost();
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.beat(), ms);
    this.timer.unref();
  }
}
