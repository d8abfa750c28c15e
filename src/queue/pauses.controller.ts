import { Body, Controller, Get, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { mustBeInScope, mustBeUnscoped } from '../auth/access.js';
import { Caller, type Principal, Requires, Scopes } from '../auth/principal.js';
import { matchesAny } from '../common/app-patterns.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { readVerbBody } from '../common/http/verb-body.js';
import { Problem } from '../common/problem/problem.js';
import { PauseList, PauseResult } from './pauses.dto.js';
import type { PauseScope } from './maintenance/pauses.js';
import { QueueService } from './queue.service.js';

const FIELDS = { app_name: 255, workflow_name: 255, reason: 1_000 } as const;

const body = {
  required: false,
  schema: {
    type: 'object',
    properties: {
      app_name: { type: 'string', example: 'shop' },
      workflow_name: { type: 'string' },
      reason: { type: 'string' },
    },
  },
} as const;

/** Holding tasks back, and letting them go on. */
@ApiTags('queue')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/queue')
export class PausesController {
  constructor(private readonly queue: QueueService) {}

  /** What is paused; of applications only those that the caller sees. */
  @Get('pauses')
  @Requires('queue:read')
  async list(@Scopes() apps: readonly string[] | undefined): Promise<PauseList> {
    return { pauses: await this.seen(apps) };
  }

  /**
   * Pauses one application or one workflow; with neither named, the whole queue. Nothing of it begins any more; what runs
   * goes on, and submissions are stored and wait.
   */
  @Post('pause')
  @Requires('queue:pause', { refusals: ['out_of_scope'] })
  @HttpCode(200)
  @ApiProblems('invalid_parameter', 'malformed_json')
  @ApiBody(body)
  async pause(
    @Body() given: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<PauseResult> {
    const { scope, reason } = readScope(given);
    mustOwn(caller, scope);
    const changed = await this.queue.pause(scope, { actor: caller.name, requestId: request.id }, reason);
    return { changed, pauses: await this.seen(caller.scopes) };
  }

  /** Ends the pause that was made with the same names. */
  @Post('resume')
  @Requires('queue:pause', { refusals: ['out_of_scope'] })
  @HttpCode(200)
  @ApiProblems('invalid_parameter', 'malformed_json')
  @ApiBody(body)
  async resume(
    @Body() given: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<PauseResult> {
    const { scope, reason } = readScope(given);
    mustOwn(caller, scope);
    const changed = await this.queue.resume(scope, { actor: caller.name, requestId: request.id }, reason);
    return { changed, pauses: await this.seen(caller.scopes) };
  }

  private async seen(apps: readonly string[] | undefined) {
    const pauses = await this.queue.getPauses();
    return pauses.filter(({ app_name: app }) => app === null || matchesAny(apps, app));
  }
}

/** A workflow, and the queue as a whole, are of all applications. */
function mustOwn(caller: Principal, { appName }: PauseScope): void {
  if (appName === undefined) mustBeUnscoped(caller, 'a pause without app_name');
  else mustBeInScope(caller, appName);
}

function readScope(given: Buffer | undefined) {
  const { app_name: appName, workflow_name: workflowName, reason } = readVerbBody(given, FIELDS);
  const errors = Object.entries({ app_name: appName, workflow_name: workflowName })
    .filter(([, name]) => name === '')
    .map(([path]) => ({ path, message: `'${path}' must not be empty`, hint: 'Leave it out for the whole queue.' }));
  if (appName !== undefined && workflowName !== undefined) {
    const message = `'app_name' and 'workflow_name' are both given`;
    errors.push({ path: 'workflow_name', message, hint: 'Pause them one after the other.' });
  }
  if (errors.length > 0) throw new Problem('invalid_parameter', errors[0]!.message, { errors });
  return { scope: { appName, workflowName }, reason };
}
