import { ApiProperty } from '@nestjs/swagger';
import type { Job, JobStatus } from '../queue/store/job-store.js';
import { filterToJson } from '../queue/bulk/bulk-filter.js';
import { TaskView } from './task.dto.js';

/** A failed task that nobody has dealt with. */
export class DeadLetterView extends TaskView {
  /** When it was discarded; null where it was not. */
  discarded_at: Date | null;
}

export class DeadLetterPage {
  tasks: DeadLetterView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

/** Dead letters that ended alike. */
export class DeadLetterGroupView {
  cause: string | null;
  /**
   * What their error messages have in common: ids and numbers are `#`. To be sent as `error` where the group is to be
   * listed, redriven or discarded. Null where only causes are told apart.
   */
  error: string | null;
  count: number;
  /** When the first of them failed. */
  oldest: Date;
  /** When the last of them failed. */
  newest: Date;
  /** One of them. */
  task_id: string | null;
  /** Of that one. */
  error_message: string | null;
}

export class DeadLetterGroupsView {
  /** All dead letters that the filter lets through. */
  dead_letters: number;
  /** In how many groups they are; `groups` holds the largest. */
  all_groups: number;
  groups: DeadLetterGroupView[];
}

/** What a verb on many tasks is answered with. */
export class BulkAnswer {
  /** Tasks it was done to; with `dry_run` or a job, those it is for. */
  count: number;
  /** Where they are many: the job that does it in the background. */
  job?: string;
  links?: Record<string, string>;
}

/** A verb on many tasks that goes on in the background. */
export class JobView {
  id: string;
  /** redrive, discard or cancel. */
  kind: string;
  filter: Record<string, unknown>;
  reason: string | null;
  /** running, stopped, completed or failed. */
  @ApiProperty({ enum: ['running', 'stopped', 'completed', 'failed'] })
  status: JobStatus;
  /** The tasks it was for when it began. */
  total: number;
  /** Tasks it was done to; less than `total` at the end where some had changed or were locked meanwhile. */
  done: number;
  actor: string;
  request_id: string | null;
  /** Why it failed. */
  error: string | null;
  created_at: Date;
  updated_at: Date;
  ended_at: Date | null;
  links: Record<string, string>;
}

export class JobPage {
  jobs: JobView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

export function jobLinks(id: string): Record<string, string> {
  const self = `/api/queue/jobs/${id}`;
  return { self, stop: `${self}/stop` };
}

export function toJobView(job: Job): JobView {
  return {
    id: job.id,
    kind: job.kind,
    filter: filterToJson(job.filter),
    reason: job.reason,
    status: job.status,
    total: job.total,
    done: job.done,
    actor: job.by.actor,
    request_id: job.by.requestId ?? null,
    error: job.error,
    created_at: job.createdAt,
    updated_at: job.updatedAt,
    ended_at: job.endedAt,
    links: jobLinks(job.id),
  };
}
