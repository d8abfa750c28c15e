import { Body, Controller, Get, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Caller, type Principal } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { readVerbBody } from '../common/http/verb-body.js';
import { Problem } from '../common/problem/problem.js';
import { PauseList, PauseResult } from './pauses.dto.js';
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

  /** What is paused. */
  @Get('pauses')
  async list(): Promise<PauseList> {
    return { pauses: await this.queue.getPauses() };
  }

  /**
   * Pauses one application or one workflow; with neither named, the whole queue. Nothing of it begins any more; what runs
   * goes on, and submissions are stored and wait.
   */
  @Post('pause')
  @HttpCode(200)
  @ApiProblems('invalid_parameter', 'malformed_json')
  @ApiBody(body)
  async pause(
    @Body() given: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<PauseResult> {
    const { scope, reason } = readScope(given);
    const changed = await this.queue.pause(scope, { actor: caller.name, requestId: request.id }, reason);
    return { changed, pauses: await this.queue.getPauses() };
  }

  /** Ends the pause that was made with the same names. */
  @Post('resume')
  @HttpCode(200)
  @ApiProblems('invalid_parameter', 'malformed_json')
  @ApiBody(body)
  async resume(
    @Body() given: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<PauseResult> {
    const { scope, reason } = readScope(given);
    const changed = await this.queue.resume(scope, { actor: caller.name, requestId: request.id }, reason);
    return { changed, pauses: await this.queue.getPauses() };
  }
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
