import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Principal } from '../auth/principal.js';
import { decodeCursor, encodeCursor } from '../common/http/cursor.js';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { BulkKind } from '../queue/bulk/bulk-filter.js';
import { BulkOperations, JobNotFoundError, JobStateError } from '../queue/bulk/bulk-operations.js';
import type { Job } from '../queue/store/job-store.js';
import { readBulkBody } from './bulk-body.js';
import { jobLinks, toJobView, type BulkAnswer, type JobPage, type JobView } from './dead-letter.dto.js';
import type { PageQuery } from '../common/http/page-query.js';

/** A job's id; what else stands in an address is the id of none. */
const JOB_ID = /^[1-9][0-9]{0,17}$/;

/** Who asks for it. */
export interface AskedBy {
  readonly caller: Principal;
  readonly requestId: string;
}

/**
 * Verbs on many tasks, and their jobs. Those of a caller with scopes are for its applications only, and it sees the jobs
 * that it began itself.
 */
@Injectable()
export class BulkService {
  constructor(
    private readonly operations: BulkOperations,
    private readonly settings: Settings,
  ) {}

  async start(
    kind: BulkKind,
    body: Buffer | undefined,
    { caller: { name: actor, scopes: apps }, requestId }: AskedBy,
    reply: FastifyReply,
  ): Promise<BulkAnswer> {
    const { filter: asked, dryRun, reason } = readBulkBody(kind, body);
    // Where documents bring no steps of their own, those of dead letters do not run again either.
    const noOwnSteps = kind === 'redrive' && this.settings.INLINE_WORKFLOWS === 'off';
    const filter = {
      ...asked,
      ...(apps === undefined ? {} : { apps }),
      ...(noOwnSteps ? ({ inline: false } as const) : {}),
    };
    const by = { actor, requestId };
    const told = reason === undefined ? `cancelled by ${by.actor}` : `cancelled by ${by.actor}: ${reason}`;
    const options = { dryRun, reason: kind === 'cancel' ? told : null };
    const { count, job } = await this.operations.start(kind, filter, by, options);
    if (!job) return { count };
    const links = jobLinks(job.id);
    void reply.status(202).header('Location', links.self!);
    return { count, job: job.id, links };
  }

  async jobs({ limit, cursor }: PageQuery, caller: Principal): Promise<JobPage> {
    const before = cursor === undefined ? undefined : decodeCursor(cursor);
    const found = await this.operations.jobs(limit + 1, before, caller.scopes && caller.name);
    const jobs = found.slice(0, limit);
    return { jobs: jobs.map(toJobView), next_cursor: found.length > limit ? encodeCursor(jobs.at(-1)!.id) : null };
  }

  job(id: string, caller: Principal): Promise<JobView> {
    return this.onJob(id, () => this.visible(id, caller));
  }

  stop(id: string, { caller, requestId }: AskedBy): Promise<JobView> {
    return this.onJob(id, async () => {
      await this.visible(id, caller);
      return this.operations.stop(id, { actor: caller.name, requestId });
    });
  }

  private async visible(id: string, { name, scopes }: Principal): Promise<Job> {
    const job = await this.operations.job(id);
    if (scopes !== undefined && job.by.actor !== name) throw new JobNotFoundError(id);
    return job;
  }

  private async onJob(id: string, work: () => ReturnType<BulkOperations['job']>): Promise<JobView> {
    try {
      if (!JOB_ID.test(id)) throw new JobNotFoundError(id);
      return toJobView(await work());
    } catch (error) {
      if (error instanceof JobNotFoundError) {
        throw new Problem('job_not_found', `there is no job '${id.slice(0, 100)}'`, { cause: error });
      }
      if (error instanceof JobStateError) throw new Problem('conflict', error.message, { cause: error });
      throw error;
    }
  }
}
