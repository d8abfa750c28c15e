import { Inject, Injectable, Logger } from '@nestjs/common';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { RetentionStore, type PrunePlace } from '../store/retention-store.js';
import { sqlState } from '../store/queue-database.js';
import { Heartbeat } from '../workers/heartbeat.js';

const FIRST_MS = 10_000;
const EVERY_MS = 3_600_000;
/** A lock, or a reader that is behind, stands in the way for a moment; what does so for longer is told and waits. */
const AGAIN_MS = 60_000;
const TRIES = 10;
/** Tasks looked at at a time: some ten milliseconds of the database's time where all of them go. */
const BATCH = 200;
const JOBS_BATCH = 500;
/** It rests five times as long as a batch took: at most a sixth of a core, off the hot path. */
const REST = 5;
const DAY_MS = 86_400_000;

const LOCKED = '55P03';
const NOT_READ_YET = 'TP004';

/** The steps of a round; each is repeated while there is more of it. */
type Stage = 'tasks' | 'jobs' | 'output' | 'ledger';

/**
 * Removes what is older than it is to be kept, in small batches: tasks that have ended with all that hangs on them, verbs on
 * many tasks, weeks of output that are empty by that, and weeks of the ledger. Each instance with workers tries, one of them
 * does it.
 */
@Injectable()
export class Pruner {
  private readonly logger = new Logger('Queue');
  private timer: NodeJS.Timeout | undefined;
  private pruning: Promise<void> | undefined;
  private stopped = true;
  private readonly failing = new Set<Stage>();
  private readonly stages: readonly Stage[];
  /** Which of them it is at. */
  private at = 0;
  private after: PrunePlace | undefined;
  private tried = 0;

  constructor(
    private readonly store: RetentionStore,
    private readonly heartbeat: Heartbeat,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {
    const { taskRetentionDays, ledgerRetentionDays } = options;
    const tasks: readonly Stage[] = taskRetentionDays > 0 ? ['tasks', 'jobs', 'output'] : [];
    this.stages = ledgerRetentionDays > 0 ? [...tasks, 'ledger'] : tasks;
  }

  start(inMs = FIRST_MS): void {
    if (this.stages.length === 0) return;
    this.stopped = false;
    this.schedule(inMs);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.pruning;
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void (this.pruning = this.prune()), ms);
    this.timer.unref();
  }

  private async prune(): Promise<void> {
    const began = performance.now();
    const stage = this.stages[this.at]!;
    try {
      const more = await this.batch(stage);
      if (this.failing.delete(stage)) this.logger.log({ msg: 'What is too old is removed again', what: stage });
      const rest = (performance.now() - began) * REST;
      if (more) this.schedule(rest);
      // Another instance's round is as good; this one's begins anew later.
      else this.goOn(more === undefined ? this.stages.length : this.at + 1, rest);
    } catch (error) {
      this.afterFailure(stage, error);
    }
  }

  /** Whether there may be more of that stage; undefined where another instance is at it. */
  private async batch(stage: Stage): Promise<boolean | undefined> {
    const { taskRetentionDays: days, ledgerRetentionDays } = this.options;
    const actor = `pruner:${this.heartbeat.instanceId}`;
    const isMore = (done: number | undefined, full: number) => (done === undefined ? undefined : done >= full);
    switch (stage) {
      case 'tasks': {
        const pruned = await this.store.tasks(days, this.after, BATCH, actor);
        this.after = pruned?.next;
        return pruned && pruned.next !== undefined;
      }
      case 'jobs':
        return isMore(await this.store.jobs(days, JOBS_BATCH), JOBS_BATCH);
      case 'output':
        return isMore(await this.store.logWeeks(), 1);
      case 'ledger':
        return isMore(await this.store.ledger(new Date(Date.now() - ledgerRetentionDays * DAY_MS), actor), 1);
    }
  }

  /** At that stage in so many milliseconds; where there is none, at the first one in an hour. */
  private goOn(at: number, inMs: number): void {
    const over = at >= this.stages.length;
    this.at = over ? 0 : at;
    this.after = undefined;
    this.tried = 0;
    this.schedule(over ? EVERY_MS : inMs);
  }

  /** What fails does not keep the rest of the round from being done. */
  private afterFailure(stage: Stage, error: unknown): void {
    const passes = [LOCKED, NOT_READ_YET].includes(sqlState(error) ?? '');
    if (passes && ++this.tried < TRIES) return this.schedule(AGAIN_MS);
    if (!this.failing.has(stage)) {
      this.logger.warn({ msg: 'What is too old cannot be removed', what: stage, error: String(error) });
    }
    this.failing.add(stage);
    this.goOn(this.at + 1, AGAIN_MS);
  }
}
