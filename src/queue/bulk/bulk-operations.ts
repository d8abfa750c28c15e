import { Injectable } from '@nestjs/common';
import { JobStore, type Job, type JobStatus } from '../store/job-store.js';
import { QueueDatabase } from '../store/queue-database.js';
import type { Signature } from '../store/task-changes.js';
import { filterToJson, type BulkFilter, type BulkKind } from './bulk-filter.js';
import { BulkVerbs } from './bulk-verbs.js';
import { JobRunner } from './job-runner.js';

export class JobNotFoundError extends Error {
  constructor(readonly jobId: string) {
    super(`there is no job ${jobId}`);
    this.name = 'JobNotFoundError';
  }
}

/** A verb that the job's state does not allow. */
export class JobStateError extends Error {
  constructor(
    readonly jobId: string,
    readonly status: JobStatus,
  ) {
    super(`the job is ${status}: only one that runs can be stopped; what it has done stays done`);
    this.name = 'JobStateError';
  }
}

export interface BulkResult {
  /** Tasks the verb was done to; with `dryRun` or a job, those it is for. */
  readonly count: number;
  /** Where the tasks are many: who does it in the background. */
  readonly job?: Job;
}

/** Up to so many tasks the caller waits for the verb. */
const AT_ONCE = 1_000;

/** Redrives and discards dead letters, and cancels tasks, many at once. */
@Injectable()
export class BulkOperations {
  constructor(
    private readonly verbs: BulkVerbs,
    private readonly runner: JobRunner,
    private readonly store: JobStore,
    private readonly database: QueueDatabase,
  ) {}

  /**
   * Does the verb to all tasks for which the filter holds now; an empty one holds for all. Few are done when it
   * resolves, many by a job in batches.
   */
  async start(
    kind: BulkKind,
    filter: BulkFilter,
    by: Signature,
    { dryRun = false, reason = null }: { dryRun?: boolean; reason?: string | null } = {},
  ): Promise<BulkResult> {
    const { count, asOf } = await this.verbs.count(kind, filter);
    if (dryRun || count === 0) return { count };
    if (count > AT_ONCE) {
      const job = await this.store.insert({ kind, filter, by, reason, asOf, total: count });
      this.runner.lookAgain();
      return { count, job };
    }
    const order = { kind, filter, by, reason, asOf };
    let done = 0;
    for (let after = '0', last = false; !last;) {
      const result = await this.verbs.batch(order, after, this.database);
      this.verbs.announce(kind, result);
      done += result.done;
      ({ last, position: after } = result);
    }
    await this.store.note(by, `bulk_${kind}_completed`, { filter: filterToJson(filter), count: done });
    return { count: done };
  }

  /** Newest first; with `before`, those behind that id; with `actor`, those that it began. */
  jobs(limit: number, before?: string, actor?: string): Promise<Job[]> {
    return this.store.list(limit, before, actor);
  }

  async job(id: string): Promise<Job> {
    const job = await this.store.read(id);
    if (!job) throw new JobNotFoundError(id);
    return job;
  }

  /** Ends a job behind the batch it is at. */
  async stop(id: string, by: Signature): Promise<Job> {
    const stopped = await this.store.end(id, 'stopped', by);
    if (stopped) return stopped;
    throw new JobStateError(id, (await this.job(id)).status);
  }
}
