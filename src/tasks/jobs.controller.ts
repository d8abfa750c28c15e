import { Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { BulkService } from './bulk.service.js';
import { JobPage, JobView } from './dead-letter.dto.js';
import { PAGE_PARAMETERS, PageQuery } from '../common/http/page-query.js';

/** Verbs on many tasks that go on in the background. */
@ApiTags('queue')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/queue/jobs')
export class JobsController {
  constructor(private readonly bulk: BulkService) {}

  /** The jobs, newest first. */
  @Get()
  @Requires('jobs:read')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  list(
    @Query(new QueryPipe(PageQuery, PAGE_PARAMETERS)) query: PageQuery,
    @Caller() caller: Principal,
  ): Promise<JobPage> {
    return this.bulk.jobs(query, caller);
  }

  /** One job: how far it is. */
  @Get(':id')
  @Requires('jobs:read')
  @ApiProblems('job_not_found')
  detail(@Param('id') id: string, @Caller() caller: Principal): Promise<JobView> {
    return this.bulk.job(id, caller);
  }

  /** Ends a job behind the batch it is at. What it has done stays done. */
  @Post(':id/stop')
  @Requires('jobs:stop')
  @HttpCode(202)
  @ApiProblems('job_not_found', 'conflict')
  stop(@Param('id') id: string, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<JobView> {
    return this.bulk.stop(id, { caller, requestId: request.id });
  }
}
