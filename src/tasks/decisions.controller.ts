import { Body, Controller, HttpCode, Param, Post, Req, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { type Answer, DecisionsService } from './decisions.service.js';
import { TaskDetail } from './task.dto.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TaskIdPipe } from './task-id.pipe.js';
import { TasksService } from './tasks.service.js';
import { readVerbBody } from '../common/http/verb-body.js';

const FIELDS = { step: 255, comment: 1_000 } as const;
const BODY = {
  required: false,
  schema: { type: 'object', properties: { step: { type: 'string' }, comment: { type: 'string' } } },
};

/** Decisions that tasks wait for. */
@ApiTags('tasks')
@ApiBearerAuth()
@ApiProblems(
  ...(['unauthorized', 'task_not_found', 'invalid_parameter'] as const),
  ...(['illegal_transition', 'conflict', 'database_unavailable'] as const),
)
@UseGuards(TaskAccessGuard)
@Controller('api/tasks')
export class DecisionsController {
  constructor(
    private readonly decisions: DecisionsService,
    private readonly tasks: TasksService,
  ) {}

  /** Approves the step that waits; `step` says which one, where several do. */
  @Post(':id/approve')
  @Requires('tasks:decide', { refusals: ['forbidden'] })
  @HttpCode(202)
  @ApiBody(BODY)
  approve(
    @Param('id', TaskIdPipe) id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<TaskDetail> {
    return this.decide(id, { decision: 'approve', ...readVerbBody(body, FIELDS) }, caller, request);
  }

  /** Rejects it: the step fails, and the task with it. */
  @Post(':id/reject')
  @Requires('tasks:decide', { refusals: ['forbidden'] })
  @HttpCode(202)
  @ApiBody(BODY)
  reject(
    @Param('id', TaskIdPipe) id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<TaskDetail> {
    return this.decide(id, { decision: 'reject', ...readVerbBody(body, FIELDS) }, caller, request);
  }

  private async decide(id: string, answer: Answer, caller: Principal, request: FastifyRequest): Promise<TaskDetail> {
    await this.decisions.decide(id, answer, { actor: caller.name, roles: caller.roles, requestId: request.id });
    return this.tasks.detail(id);
  }
}
