import { Injectable } from '@nestjs/common';
import { filterFromJson, filterToJson, type BulkFilter, type BulkKind } from '../bulk/bulk-filter.js';
import { advanceJob, endJob, holdJob, insertJob, listJobs, readJob, releaseJob, takeJob } from './jobs.sql.js';
import { noteInLedger } from './ledger-note.sql.js';
import { QueueDatabase, type Executor } from './queue-database.js';
import type { Signature } from './task-changes.js';

export type JobStatus = 'running' | 'stopped' | 'completed' | 'failed';

/** A verb on many tasks that goes on in the background. */
export interface Job {
  readonly id: string;
  readonly kind: BulkKind;
  readonly filter: BulkFilter;
  readonly reason: string | null;
  readonly by: Signature;
  readonly status: JobStatus;
  /** As it was counted at the start. */
  readonly total: number;
  readonly done: number;
  /** Tasks up to this id are done with. */
  readonly position: string;
  readonly error: string | null;
  /** The time at which it was counted, to the microsecond: it is for no task that came later. */
  readonly asOf: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly endedAt: Date | null;
}

export type NewJob = Pick<Job, 'kind' | 'filter' | 'reason' | 'by' | 'total' | 'asOf'>;

/** An instance's hold on jobs: what it writes under a lost one does not count. */
export interface JobLease {
  readonly token: string;
  readonly seconds: number;
}

const BEHIND_ALL = '9223372036854775807';

@Injectable()
export class JobStore {
  constructor(private readonly database: QueueDatabase) {}

  insert({ kind, filter, reason, by, total, asOf }: NewJob): Promise<Job> {
    return this.database.transaction(async (transaction) => {
      const json = JSON.stringify(filterToJson(filter));
      const requestId = by.requestId ?? null;
      const rows = await transaction.run<JobRow>(insertJob, [kind, json, reason, by.actor, requestId, total, asOf]);
      const job = toJob(rows[0]!);
      await this.note(by, `bulk_${kind}_started`, { job: job.id, filter: filterToJson(filter), total }, transaction);
      return job;
    });
  }

  async read(id: string): Promise<Job | undefined> {
    return first(await this.database.run<JobRow>(readJob, [id]));
  }

  /** Newest first. */
  async list(limit: number, before = BEHIND_ALL, actor: string | null = null): Promise<Job[]> {
    return (await this.database.run<JobRow>(listJobs, [limit, before, actor])).map(toJob);
  }

  /** A job that nobody runs, now held under this lease. */
  async take({ token, seconds }: JobLease): Promise<Job | undefined> {
    return first(await this.database.run<JobRow>(takeJob, [token, seconds]));
  }

  /** Renews the hold; undefined where the job was stopped or is somebody else's. */
  async hold(id: string, { token, seconds }: JobLease, executor: Executor): Promise<Job | undefined> {
    return first(await executor.run<JobRow>(holdJob, [id, token, seconds]));
  }

  async advance(id: string, { token }: JobLease, done: number, position: string, executor: Executor): Promise<void> {
    await executor.run(advanceJob, [id, token, done, position]);
  }

  async release(id: string, { token }: JobLease): Promise<void> {
    await this.database.run(releaseJob, [id, token]);
  }

  /** Ends a job that runs, under its lease or, without one, from outside; undefined where it does not. */
  async end(
    id: string,
    status: JobStatus,
    by: Signature,
    { token, error }: { token?: string; error?: string } = {},
  ): Promise<Job | undefined> {
    const values = [id, token ?? null, status, error ?? null, by.actor, by.requestId ?? null];
    return first(await this.database.run<JobRow>(endJob, values));
  }

  /** Writes into the ledger what an operator did to many tasks. */
  async note(
    by: Signature,
    cause: string,
    detail: Record<string, unknown>,
    executor: Executor = this.database,
  ): Promise<void> {
    await executor.run(noteInLedger, [by.actor, cause, JSON.stringify(detail), by.requestId ?? null, null]);
  }
}

interface JobRow {
  id: string;
  kind: BulkKind;
  filter: Record<string, unknown>;
  reason: string | null;
  actor: string;
  request_id: string | null;
  status: JobStatus;
  total: number;
  done: number;
  position: string;
  error: string | null;
  as_of: string;
  created_at: Date;
  updated_at: Date;
  ended_at: Date | null;
}

const first = (rows: readonly JobRow[]) => (rows[0] ? toJob(rows[0]) : undefined);

function toJob(row: JobRow): Job {
  return {
    id: row.id,
    kind: row.kind,
    filter: filterFromJson(row.filter),
    reason: row.reason,
    by: { actor: row.actor, ...(row.request_id === null ? {} : { requestId: row.request_id }) },
    status: row.status,
    total: row.total,
    done: row.done,
    position: row.position,
    error: row.error,
    asOf: row.as_of,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
  };
}
