import { Body, Controller, Get, Param, Patch, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { Problem } from '../common/problem/problem.js';
import { MAX_WORKERS, readInstanceChange } from './instance-change.js';
import { InstanceList, InstanceView } from './instances.dto.js';
import { InstancesService } from './instances.service.js';

/** The instances that run tasks. */
@ApiTags('queue')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/queue/instances')
export class InstancesController {
  constructor(private readonly instances: InstancesService) {}

  /** Who is alive, what it runs, and what is wanted of it. */
  @Get()
  @Requires('instances:read')
  list(): Promise<InstanceList> {
    return this.instances.list();
  }

  /**
   * Changes the number of workers of a running instance (fewer: what runs goes on to its end), or drains it: it begins
   * nothing new and finishes what runs, without ending its process. `draining: false` lets it go on.
   */
  @Patch(':id')
  @Requires('instances:manage')
  @ApiProblems('instance_not_found', 'invalid_parameter', 'malformed_json', 'conflict')
  @ApiBody({
    schema: {
      type: 'object',
      properties: { workers: { type: 'integer', minimum: 0, maximum: MAX_WORKERS }, draining: { type: 'boolean' } },
    },
  })
  change(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<InstanceView> {
    // PostgreSQL holds no NUL in a text.
    if (id.includes('\0')) throw new Problem('instance_not_found', 'there is no such instance');
    return this.instances.change(id, readInstanceChange(body), { actor: caller.name, requestId: request.id });
  }
}
