import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { decodeCursor, encodeCursor } from '../common/http/cursor.js';
import { Problem } from '../common/problem/problem.js';
import type { BulkKind } from '../queue/bulk/bulk-filter.js';
import { BulkOperations, JobNotFoundError, JobStateError } from '../queue/bulk/bulk-operations.js';
import type { Signature } from '../queue/store/task-changes.js';
import { readBulkBody } from './bulk-body.js';
import { jobLinks, toJobView, type BulkAnswer, type JobPage, type JobView } from './dead-letter.dto.js';
import type { PageQuery } from '../common/http/page-query.js';

/** A job's id; what else stands in an address is the id of none. */
const JOB_ID = /^[1-9][0-9]{0,17}$/;

/** Verbs on many tasks, and their jobs. */
@Injectable()
export class BulkService {
  constructor(private readonly operations: BulkOperations) {}

  async start(kind: BulkKind, body: Buffer | undefined, by: Signature, reply: FastifyReply): Promise<BulkAnswer> {
    const { filter, dryRun, reason } = readBulkBody(kind, body);
    const told = reason === undefined ? `cancelled by ${by.actor}` : `cancelled by ${by.actor}: ${reason}`;
    const options = { dryRun, reason: kind === 'cancel' ? told : null };
    const { count, job } = await this.operations.start(kind, filter, by, options);
    if (!job) return { count };
    const links = jobLinks(job.id);
    void reply.status(202).header('Location', links.self!);
    return { count, job: job.id, links };
  }

  async jobs({ limit, cursor }: PageQuery): Promise<JobPage> {
    const found = await this.operations.jobs(limit + 1, cursor === undefined ? undefined : decodeCursor(cursor));
    const jobs = found.slice(0, limit);
    return { jobs: jobs.map(toJobView), next_cursor: found.length > limit ? encodeCursor(jobs.at(-1)!.id) : null };
  }

  job(id: string): Promise<JobView> {
    return this.onJob(id, () => this.operations.job(id));
  }

  stop(id: string, by: Signature): Promise<JobView> {
    return this.onJob(id, () => this.operations.stop(id, by));
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
