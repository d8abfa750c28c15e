import { Body, Controller, Get, HttpCode, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LastingCalls } from '../auth/lasting-calls.js';
import { Caller, type Principal, Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { PAGE_PARAMETERS, PageQuery } from '../common/http/page-query.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { TASK_STATUSES } from '../queue/task-status.js';
import { DETAIL_PARAMETERS, DetailQuery, readListQuery } from './list-query.js';
import { TaskDetail, TaskEventPage, TaskPage } from './task.dto.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TaskIdPipe } from './task-id.pipe.js';
import { RetriesService } from './retries.service.js';
import { TasksService } from './tasks.service.js';
import { readVerbBody } from '../common/http/verb-body.js';

/** Tasks: what they are and what they did; and the verbs on one. */
@ApiTags('tasks')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@UseGuards(TaskAccessGuard)
@Controller('api/tasks')
export class TasksController {
  constructor(
    private readonly tasks: TasksService,
    private readonly retries: RetriesService,
    private readonly lasting: LastingCalls,
  ) {}

  /** The tasks, newest first, page by page. */
  @Get()
  @Requires('tasks:read')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'status', required: false, enum: TASK_STATUSES })
  @ApiQuery({ name: 'app_name', required: false, type: String })
  @ApiQuery({ name: 'workflow_name', required: false, type: String })
  @ApiQuery({
    name: 'label.team',
    required: false,
    type: String,
    description: 'A label, as label.<name>=<value>; several must all be there.',
  })
  @ApiQuery({
    name: 'q',
    required: false,
    type: String,
    description: 'A task_id, or a part of the name of an application or a workflow or of an error message.',
  })
  @ApiQuery({ name: 'since', required: false, type: String, description: 'Enqueued at this time or later.' })
  @ApiQuery({ name: 'until', required: false, type: String, description: 'Enqueued before this time.' })
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String, description: 'next_cursor of the page before.' })
  list(@Query() query: Record<string, unknown>, @Scopes() apps: readonly string[] | undefined): Promise<TaskPage> {
    return this.tasks.list(readListQuery(query), apps);
  }

  /** One task with its steps; with `wait`, when it has ended or the time is up. */
  @Get(':id')
  @Requires('tasks:read')
  @ApiProblems('task_not_found', 'invalid_parameter')
  @ApiQuery({ name: 'wait', required: false, type: String, description: 'At most so long, e.g. 60s.' })
  async detail(
    @Param('id', TaskIdPipe) id: string,
    @Query(new QueryPipe(DetailQuery, DETAIL_PARAMETERS)) { wait }: DetailQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TaskDetail> {
    if (wait === undefined) return this.tasks.detail(id);
    const over = this.lasting.begin(request, reply.raw);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const detail = await this.tasks.detailWhenEnded(id, wait, AbortSignal.any([gone.signal, over]));
    over.throwIfAborted();
    return detail;
  }

  /** The task's ledger: every change of its state and of its steps, oldest first. */
  @Get(':id/events')
  @Requires('tasks:read')
  @ApiProblems('task_not_found')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  events(
    @Param('id', TaskIdPipe) id: string,
    @Query(new QueryPipe(PageQuery, PAGE_PARAMETERS)) query: PageQuery,
  ): Promise<TaskEventPage> {
    return this.tasks.events(id, query);
  }

  /** Cancels the task: at once where it waits; a running one is asked to end and is cancelled when it has. */
  @Post(':id/cancel')
  @Requires('tasks:cancel', { own: 'tasks:cancel-own' })
  @ApiProblems('task_not_found', 'illegal_transition')
  @HttpCode(202)
  @ApiBody({ required: false, schema: { type: 'object', properties: { reason: { type: 'string' } } } })
  cancel(
    @Param('id', TaskIdPipe) id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<TaskDetail> {
    return this.tasks.cancel(id, caller.name, request.id, readVerbBody(body, { reason: 1_000 }).reason);
  }

  /**
   * Sends a task that has ended through the queue again: it goes on at the first step that did not complete, with the
   * outputs of those that did. `from_step` names another one to begin at; `spec` is a corrected document.
   */
  @Post(':id/retry')
  @Requires('tasks:retry', { own: 'tasks:retry-own', refusals: ['inline_steps_forbidden'] })
  @ApiProblems('task_not_found', 'illegal_transition', 'invalid_parameter', 'invalid_document')
  @HttpCode(202)
  @ApiBody({
    required: false,
    schema: { type: 'object', properties: { from_step: { type: 'string' }, spec: { type: 'object' } } },
  })
  async retry(
    @Param('id', TaskIdPipe) id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<TaskDetail> {
    const how = readVerbBody(body, { from_step: 255, spec: undefined });
    await this.tasks.verb(() => this.retries.retry(id, how, { actor: caller.name, requestId: request.id }, caller));
    return this.tasks.detail(id);
  }
}
