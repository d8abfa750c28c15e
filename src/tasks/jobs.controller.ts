import { Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Caller, type Principal } from '../auth/principal.js';
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
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  list(@Query(new QueryPipe(PageQuery, PAGE_PARAMETERS)) query: PageQuery): Promise<JobPage> {
    return this.bulk.jobs(query);
  }

  /** One job: how far it is. */
  @Get(':id')
  @ApiProblems('job_not_found')
  detail(@Param('id') id: string): Promise<JobView> {
    return this.bulk.job(id);
  }

  /** Ends a job behind the batch it is at. What it has done stays done. */
  @Post(':id/stop')
  @HttpCode(202)
  @ApiProblems('job_not_found', 'conflict')
  stop(@Param('id') id: string, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<JobView> {
    return this.bulk.stop(id, { actor: caller.name, requestId: request.id });
  }
}
