import { randomUUID } from 'node:crypto';
import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { JobStore, type Job, type JobLease } from '../store/job-store.js';
import { QueueDatabase, sqlState, type Executor } from '../store/queue-database.js';
import { BulkVerbs, type BatchResult } from './bulk-verbs.js';

/** A batch that the database refuses so many times in a row ends its job. */
const TRIES = 5;

/**
 * Runs jobs, one at a time on an instance, in batches. A job is held by a lease on its row, which each batch renews: that
 * of an instance that died is over after `leaseSeconds`, and any other takes the job over where the last batch ended.
 */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Queue');
  private readonly lease: JobLease;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private failing = false;
  private stopped = true;

  constructor(
    private readonly store: JobStore,
    private readonly verbs: BulkVerbs,
    private readonly database: QueueDatabase,
    @Inject(QUEUE_OPTIONS) options: ResolvedQueueOptions,
  ) {
    this.lease = { token: randomUUID(), seconds: options.leaseSeconds };
  }

  onApplicationBootstrap(): void {
    this.stopped = false;
    this.lookAgain();
  }

  /** Ends behind the batch it is at; another instance goes on with the job at once. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /** There is a new job. */
  lookAgain(): void {
    if (this.stopped) return;
    this.again = true;
    clearTimeout(this.timer);
    this.running ??= this.runJobs().finally(() => {
      this.running = undefined;
      if (this.stopped) return;
      if (this.again) return this.lookAgain();
      this.timer = setTimeout(() => this.lookAgain(), (this.lease.seconds * 1_000) / 3);
      this.timer.unref();
    });
  }

  private async runJobs(): Promise<void> {
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        const job = await this.store.take(this.lease);
        this.failing = false;
        if (!job) return;
        this.again = true; // others may wait behind it
        await this.run(job);
      }
    } catch (error) {
      // The next look tries it again; a job this instance still holds is free when its lease is over.
      this.again = false;
      if (!this.failing) this.logger.warn({ msg: 'Jobs cannot be run now', error: messageOf(error) });
      this.failing = true;
    }
  }

  private async run(job: Job): Promise<void> {
    this.logger.log({ msg: 'Job runs', job: job.id, kind: job.kind, total: job.total, done: job.done });
    for (let failed = 0; !this.stopped;) {
      try {
        const result = await this.batch(job);
        if (!result) return;
        failed = 0;
        this.verbs.announce(job.kind, result);
        if (!result.last) continue;
        const ended = await this.store.end(job.id, 'completed', job.by, this.lease);
        if (ended) this.logger.log({ msg: 'Job completed', job: job.id, kind: job.kind, done: ended.done });
        return;
      } catch (error) {
        if (isPassing(error)) throw error;
        if (++failed < TRIES) continue;
        this.logger.warn({ msg: 'Job failed', job: job.id, kind: job.kind, error: messageOf(error) });
        await this.store.end(job.id, 'failed', job.by, { ...this.lease, error: messageOf(error) });
        return;
      }
    }
    await this.store.release(job.id, this.lease);
  }

  /** The next batch, and the job's progress with it; undefined where the job is not this instance's any more. */
  private batch({ id, kind }: Job): Promise<BatchResult | undefined> {
    const work = async (executor: Executor): Promise<BatchResult | undefined> => {
      const job = await this.store.hold(id, this.lease, executor);
      if (!job) return undefined;
      const result = await this.verbs.batch({ ...job, job: id }, job.position, executor);
      await this.store.advance(id, this.lease, result.done, result.position, executor);
      return result;
    };
    return this.verbs.isAtomic(kind) ? this.database.transaction(work) : work(this.database);
  }
}

/** It is the database that is away or overloaded, and not the batch that cannot be done. */
const isPassing = (error: unknown) => /^(08|53|57|$)/.test(sqlState(error) ?? '');

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
