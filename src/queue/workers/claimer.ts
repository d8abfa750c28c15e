import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { TaskStore } from '../store/task-store.js';
import type { Company, Offer } from '../store/task-changes.js';
import type { ClaimedTask } from '../task-handler.js';
import { Heartbeat, type HeldLease, type InstanceWish, type LeaseHolder } from './heartbeat.js';
import { runKey } from './run.js';
import { WorkerPool } from './worker-pool.js';

const FULL_LOOK_MS = 1_000;
/** So long claims go round tasks that run alone, once one of them was met while other tasks ran, or has had its turn. */
const GO_ROUND_MS = 10_000;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What became of tasks that were stored while workers were offered. */
interface Taking<T> {
  readonly result: T;
  readonly taken: readonly ClaimedTask[];
}

/**
 * Fetches work for free workers: woken by this process's own commits, by a notification, by a worker that became free,
 * or by a timer. One claim at a time, for at most as many tasks as the pool has room for.
 */
@Injectable()
export class Claimer implements LeaseHolder {
  private readonly logger = new Logger('Queue');
  /** Tokens of claims that may have committed without this process knowing what they took. */
  private readonly openTokens = new Set<string>();
  private claiming: Promise<void> | undefined;
  /** Workers are offered to tasks that are being stored. */
  private offering: Promise<void> | undefined;
  private again = false;
  /** Workers have become free in this turn of the event loop. */
  private freed = false;
  /** Tasks may wait that no claim has found: else a worker that becomes free is no reason to look. */
  private mayWait = true;
  /** No task that this process does not know is promised to start before this time; milliseconds of the epoch. */
  private floor = -Infinity;
  private nextFullLook = 0;
  /** Until then claims go round those that run alone and are early; until `othersUntil` round all of them. */
  private goRoundUntil = -Infinity;
  private othersUntil = -Infinity;
  /** When one was taken, after which nothing has been claimed yet. */
  private aloneSince: number | undefined;
  /** Nothing else waits, and nothing runs: the next claim is for one of them. */
  private isTheirTurn = false;
  private running = false;
  /** By an operator's word: nothing is claimed until it is taken back. */
  private draining = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: TaskStore,
    private readonly pool: WorkerPool,
    private readonly heartbeat: Heartbeat,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  start(): void {
    this.running = true;
    this.pool.onWorkerFree(() => void this.onFree());
    this.schedule();
    this.wake();
  }

  /** No claim and no offer begins after this; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.running = false;
    clearTimeout(this.timer);
    await Promise.all([this.claiming, this.offering]);
  }

  /**
   * Lets tasks be stored, and hands those that come back as taken to the idle workers offered for them. No offer where
   * anything may wait already, or a claim or another offer is under way: whatever that one takes comes first.
   */
  async offerWorkers<T>(store: (offer: Offer | undefined) => Promise<Taking<T>>): Promise<T> {
    const first = this.canClaim && !this.mayWait && !this.claiming && !this.offering;
    const workers = first ? this.pool.idleWorkers : 0;
    if (workers <= 0) return (await store(undefined)).result;
    const token = randomUUID();
    const instance = this.heartbeat.instanceId;
    const floor = this.fullLookIsDue ? -Infinity : this.floor;
    this.openTokens.add(token);
    const stored = store({ instance, token, workers, floor });
    this.offering = stored
      .then(async ({ taken }) => {
        await nextTurn(); // whoever stores them hears of it before they run
        // Else as in a claim: the rescuer returns them.
        if (instance === this.heartbeat.instanceId) for (const task of taken) this.pool.start(task);
      })
      .catch(() => undefined) // the error is the caller's
      .finally(() => {
        this.offering = undefined;
        this.openTokens.delete(token);
        if (this.again) this.wake(Infinity);
      });
    return (await stored).result;
  }

  /**
   * There may be work, promised to start at `earliest` (milliseconds of the epoch) or later; -Infinity: nobody knows;
   * Infinity: there is only room for what was there before.
   */
  wake(earliest = -Infinity): void {
    if (earliest < Infinity) this.mayWait = true;
    if (!this.mayWait) return;
    this.again = true;
    this.floor = Math.min(this.floor, earliest);
    // Whoever ends what is under way, or frees a worker, wakes the claimer again.
    if (this.claiming || this.offering || !this.canClaim) return;
    this.claiming = this.claimAll().finally(() => {
      this.claiming = undefined;
      if (this.again && this.canClaim) this.wake(Infinity);
      else this.schedule();
    });
  }

  onLeaseLost(): void {
    this.pool.abortAll('lost');
    this.openTokens.clear();
  }

  beforeLeasesRead(): ReadonlySet<string> {
    return new Set([...this.pool.keys(), ...this.openTokens]);
  }

  /**
   * Squares this instance's runs with its leases. Runs known before the leases were read and not listed have lost
   * theirs; listed leases that belong to no run and to no claim under way before or after the read are handed back.
   */
  onLeases(leases: readonly HeldLease[], known: ReadonlySet<string>): void {
    const listed = new Set(leases.map((lease) => runKey(lease.id, lease.lease_token)));
    for (const key of known) if (!listed.has(key)) this.pool.abort(key, 'lost');
    const strays: { id: string; token: string }[] = [];
    for (const lease of leases) {
      const key = runKey(lease.id, lease.lease_token);
      const claimed = known.has(lease.lease_token) || this.openTokens.has(lease.lease_token);
      if (lease.cancel_requested) this.pool.abort(key, 'cancelled', { final: !lease.cancel_cleanup });
      if (!claimed && !known.has(key) && !this.pool.has(lease.id, lease.lease_token)) {
        strays.push({ id: lease.id, token: lease.lease_token });
      }
    }
    if (strays.length > 0) void this.handBack(strays);
  }

  onWish({ workers, draining }: InstanceWish): void {
    this.logger.log({ msg: 'This instance was told to change', workers, draining });
    this.draining = draining;
    this.pool.resize(workers);
    if (draining) void this.pool.handBackPrefetched();
    else this.wake();
  }

  private async handBack(strays: { id: string; token: string }[]): Promise<void> {
    try {
      await this.store.handBackUnlocked(strays, `worker:${this.heartbeat.instanceId}`, 'handed_back');
      this.logger.warn({ msg: 'Leases without a run were handed back', tasks: strays.length });
      this.wake();
    } catch (error) {
      this.logger.warn({ msg: 'Leases without a run could not be handed back yet', error: String(error) });
    }
  }

  private async claimAll(): Promise<void> {
    while (this.again && this.canClaim) {
      this.again = false;
      await this.claimOnce(this.pool.room);
      await nextTurn();
    }
  }

  /** All workers that become free in one turn of the event loop share a claim. */
  private async onFree(): Promise<void> {
    if (this.freed || !this.mayWait) return;
    this.freed = true;
    await nextTurn();
    this.freed = false;
    this.wake(Infinity);
  }

  private get canClaim(): boolean {
    return this.running && !this.draining && this.pool.room >= this.leastRoom && this.heartbeat.alive;
  }

  /** Prefetched tasks come in large hands: a claim for each worker that becomes free would be a claim for each task. */
  private get leastRoom(): number {
    return Math.max(1, Math.floor(this.options.prefetch / 2));
  }

  private async claimOnce(limit: number): Promise<void> {
    const token = randomUUID();
    const instance = this.heartbeat.instanceId;
    const company = this.company;
    // Of several that run alone all but one would have to go back.
    const tasksWanted = this.isTheirTurn ? 1 : limit;
    this.isTheirTurn = false;
    this.openTokens.add(token);
    try {
      const tasks = await this.claimUnder(token, tasksWanted, instance, company);
      // The lease was lost meanwhile: these stand under the old id, and the rescuer returns them.
      if (instance !== this.heartbeat.instanceId) return;
      this.begin(tasks, company);
      // They were on their way when it was told to drain.
      if (this.draining) await this.pool.handBackPrefetched();
    } finally {
      // Not before the runs stand in the pool: their leases would look like strays.
      this.openTokens.delete(token);
    }
  }

  /**
   * What runs alone waits in the queue until an instance has nothing else to do, at most until it is promised to start:
   * then a busy one takes it as well, and nothing more before it has had its turn. One at a time, after all else that
   * came with it; the others are for others.
   */
  private begin(tasks: readonly ClaimedTask[], { goRound }: Company): void {
    const alone = tasks.filter((task) => task.alone);
    const rest = alone.length > 0 ? tasks.filter((task) => !task.alone) : tasks;
    if (this.options.prefetch > 0) this.pool.take(rest);
    else for (const task of rest) this.pool.start(task);
    if (goRound === 'all' && tasks.length === 0 && this.pool.isIdle) this.giveTurn();
    if (alone.length === 0) return;
    const [first, ...others] = alone;
    if (goRound === 'early' || this.pool.isIdle) {
      this.aloneSince = performance.now();
      this.pool.take([first!]);
    } else others.unshift(first!);
    if (others.length === 0) return;
    this.mayWait = true;
    this.floor = Math.min(this.floor, ...others.map(({ startBy }) => startBy));
    this.goRoundUntil = performance.now() + GO_ROUND_MS;
    void this.pool.handBack(others);
  }

  /** To a task that runs alone, should one wait. */
  private giveTurn(): void {
    this.othersUntil = -Infinity;
    this.isTheirTurn = this.mayWait = this.again = true;
    this.floor = -Infinity;
  }

  private get company(): Company {
    const now = performance.now();
    // As long as it has had the instance, or has waited for it, it is the others' turn.
    if (this.aloneSince !== undefined) {
      this.othersUntil = now + Math.max(GO_ROUND_MS, now - this.aloneSince);
      this.goRoundUntil = this.othersUntil + GO_ROUND_MS;
      this.aloneSince = undefined;
    }
    const aloneFrom = Math.max(1, this.options.maxCrashes - 1);
    if (now < this.othersUntil) return { aloneFrom, goRound: 'all' };
    return now < this.goRoundUntil && !this.pool.isIdle ? { aloneFrom, goRound: 'early' } : { aloneFrom };
  }

  private async claimUnder(token: string, limit: number, instance: string, company: Company): Promise<ClaimedTask[]> {
    const floor = this.floor;
    const full = this.fullLookIsDue;
    if (full) this.nextFullLook = performance.now() + FULL_LOOK_MS;
    // What wakes this process from here on may lower the floor, and makes it look again.
    this.floor = Infinity;
    this.mayWait = false;
    try {
      const claim = this.options.prefetch > 0 ? 'prefetch' : 'claim';
      const tasks = await this.store[claim](limit, instance, token, full ? -Infinity : floor, company);
      this.floor = Math.min(this.floor, tasks.at(-1)?.startBy ?? floor);
      // A full hand means that there is probably more.
      if (tasks.length === limit) this.mayWait = this.again = true;
      return tasks;
    } catch (error) {
      this.floor = -Infinity;
      this.mayWait = true;
      this.logger.warn({ msg: 'Claim failed', error: error instanceof Error ? error.message : String(error) });
      // The claim may have committed although its answer was lost.
      return isDatabaseUnavailable(error) ? this.store.claimedBy(token, company).catch(() => []) : [];
    }
  }

  /** Once a second the floor does not count, for whatever came by without a word. */
  private get fullLookIsDue(): boolean {
    return performance.now() >= this.nextFullLook;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (!this.running) return;
    // What a floor may have hidden is looked for when the next full look is due.
    const fullLook = this.floor === -Infinity ? Infinity : Math.max(0, this.nextFullLook - performance.now());
    const look = () => {
      this.wake();
      if (!this.claiming) this.schedule();
    };
    this.timer = setTimeout(look, Math.min(this.options.pollSeconds * 1_000, fullLook));
    this.timer.unref();
  }
}
