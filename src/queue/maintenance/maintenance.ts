import { Inject, Injectable, Logger } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { MetricsCollector } from '../metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { foldCounters } from '../store/counters.sql.js';
import { IdempotencyStore } from '../store/idempotency-store.js';
import { look, type Look } from '../store/look.sql.js';
import { QueueDatabase, sqlState, type Statement } from '../store/queue-database.js';
import { Heartbeat } from '../workers/heartbeat.js';
import { WakeUps } from '../workers/wake-ups.js';
import { Admitter } from './admitter.js';
import { Pauses } from './pauses.js';
import { Promoter } from './promoter.js';
import { Rescuer } from './rescuer.js';
import { Sweep } from './sweep.js';

const ensurePartitions: Statement = {
  name: 'queue_ensure_partitions',
  text: 'SELECT queue_ensure_partitions()',
};
const due = (found: Look | undefined) => found !== undefined && (found.next_due_seconds ?? Infinity) <= 0;

const BUSY_MS = 200;
const PARTITIONS_EVERY_MS = 86_400_000;
const FORGET_KEYS_EVERY_MS = 3_600_000;
const EXPIRED_KEYS_EVERY_MS = 60_000;
const EXPIRED_KEYS_BATCH = 5_000;
/** A chore that walks over what waits rests twenty times as long as it took: at most 5% of a core, however much waits. */
const REST = 20;

/**
 * The queue's housekeeping, on one timer: every poll interval, and earlier when a scheduled task is due. Each chore is
 * safe on all instances at once.
 */
@Injectable()
export class Maintenance {
  private readonly logger = new Logger('Queue');
  private readonly failing = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private ticking: Promise<void> | undefined;
  private stopped = true;
  private again = false;
  /** When the timer goes off. */
  private timerAt = Infinity;
  /** A task that a look may have missed becomes due at this time. */
  private dueAt = Infinity;
  private freed: () => void = () => undefined;
  private partitionsAt = 0;
  private forgetKeysAt = 0;
  /** When a chore that rests may be done again. */
  private readonly restsUntil = new Map<string, number>();
  private expiredKeysAt = 0;

  constructor(
    private readonly database: QueueDatabase,
    private readonly promoter: Promoter,
    private readonly rescuer: Rescuer,
    private readonly sweep: Sweep,
    private readonly pauses: Pauses,
    private readonly admitter: Admitter,
    private readonly heartbeat: Heartbeat,
    private readonly wakeUps: WakeUps,
    private readonly metrics: MetricsCollector,
    private readonly keys: IdempotencyStore,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /** Resolves when the first round is done: from then on this process knows how much waits. */
  start(): Promise<void> {
    this.stopped = false;
    return this.begin();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.ticking;
  }

  /** Calls back when tasks have become free for workers. */
  onFreed(listener: () => void): void {
    this.freed = listener;
  }

  /** The time of a task that another instance has stored comes in so many milliseconds. */
  lookIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.ticking) this.dueAt = Math.min(this.dueAt, at);
    else if (at < this.timerAt) this.schedule(ms);
  }

  /** A task was scheduled: its time may come before the next tick. */
  lookAgain(): void {
    if (this.ticking) this.again = true;
    else this.schedule(0);
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timerAt = performance.now() + ms;
    this.timer = setTimeout(() => void this.begin(), ms);
    this.timer.unref();
  }

  private begin(): Promise<void> {
    this.ticking ??= this.tick().finally(() => {
      this.ticking = undefined;
      if (this.again) this.schedule(0);
    });
    return this.ticking;
  }

  private async tick(): Promise<void> {
    const pollMs = this.options.pollSeconds * 1_000;
    await this.wakeUps.ensureListening();
    this.again = false;
    this.dueAt = Infinity;
    const found = await this.chore('look', async () => (await this.database.run<Look>(look, []))[0]!);
    if (found) this.metrics.observe(found);
    let freed = 0;
    if (found?.expired) freed += (await this.chore('rescue', () => this.rescuer.rescue(this.actor('rescuer')))) ?? 0;
    const promoted = due(found)
      ? ((await this.chore('promote', () => this.promoter.promote(this.actor('promoter')))) ?? 0)
      : 0;
    freed += promoted;
    if (found?.paused) freed += await this.whenRested('settle pauses', pollMs, () => this.pauses.settle());
    if (found?.blocked) await this.whenRested('admit', pollMs, () => this.admitter.admitAll());
    freed += await this.whenRested('sweep', pollMs, () => this.sweep.sweep(this.actor('sweep')));
    if (found?.many_counters) await this.chore('fold counters', () => this.database.run(foldCounters, []));
    if (performance.now() >= this.partitionsAt) {
      const done = await this.chore('partitions', () => this.database.run(ensurePartitions, []));
      if (done) this.partitionsAt = performance.now() + PARTITIONS_EVERY_MS;
    }
    if (performance.now() >= this.forgetKeysAt) {
      await this.chore('forget keys', () => this.admitter.forget());
      this.forgetKeysAt = performance.now() + FORGET_KEYS_EVERY_MS;
    }
    if (performance.now() >= this.expiredKeysAt) await this.removeExpiredKeys();
    if (freed > 0) {
      // This process's own workers without the way through the database, which may be deaf.
      this.freed();
      this.wakeUps.sendReady();
    }
    // More may be due right after what was promoted; what is due and could not be promoted is in other hands.
    const nextDueMs = due(found) ? (promoted > 0 ? 0 : BUSY_MS) : (found?.next_due_seconds ?? Infinity) * 1_000;
    this.schedule(Math.min(pollMs, nextDueMs, Math.max(0, this.dueAt - performance.now())));
  }

  /** One batch a tick, and then a rest unless there are more. */
  private async removeExpiredKeys(): Promise<void> {
    const removed = await this.chore('expired keys', () => this.keys.removeExpired(EXPIRED_KEYS_BATCH));
    if (removed !== EXPIRED_KEYS_BATCH) this.expiredKeysAt = performance.now() + EXPIRED_KEYS_EVERY_MS;
  }

  private async whenRested(name: string, pollMs: number, work: () => Promise<number | void>): Promise<number> {
    const began = performance.now();
    if (began < (this.restsUntil.get(name) ?? 0)) return 0;
    let waited = false;
    const freed = await this.chore(name, () =>
      work().catch((error: unknown) => {
        waited = isDatabaseUnavailable(error) && sqlState(error) === undefined;
        throw error;
      }),
    );
    // Waiting for a connection in vain was no work: a sweep is never needed more than after that.
    const took = waited ? 0 : performance.now() - began;
    this.restsUntil.set(name, performance.now() + Math.max(pollMs / 2, took * REST));
    return freed ?? 0;
  }

  /** One failing chore does not keep the others from being done; it is logged when it begins to fail. */
  private async chore<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work();
      if (this.failing.delete(name)) this.logger.log({ msg: 'Maintenance works again', chore: name });
      return result;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.failing.has(name)) this.logger.warn({ msg: 'Maintenance failed', chore: name, error: reason });
      this.failing.add(name);
      return undefined;
    }
  }

  private actor(role: string): string {
    return `${role}:${this.heartbeat.instanceId}`;
  }
}
