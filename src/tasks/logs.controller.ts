import { Controller, Get, Header, Headers, Param, Query, Req, Res, StreamableFile, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOkResponse, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LastingCalls } from '../auth/lasting-calls.js';
import { Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { EVENT_STREAM, UNBUFFERED } from '../common/http/server-events.js';
import { LOG_COLOURS, readLastEventId, readLogQuery } from './log-query.js';
import { OpenAnswers } from '../common/http/open-answers.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TaskIdPipe } from './task-id.pipe.js';
import { TaskLogsService } from './task-logs.service.js';

/** What tasks' steps wrote. */
@ApiTags('tasks')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@UseGuards(TaskAccessGuard)
@Controller('api/tasks')
export class LogsController {
  constructor(
    private readonly logs: TaskLogsService,
    private readonly answers: OpenAnswers,
    private readonly lasting: LastingCalls,
  ) {}

  /**
   * What the task's steps wrote, in all attempts: the bytes as they wrote them, or line by line with prefixes; with
   * `Accept: text/event-stream` as events, live until the task has ended.
   */
  @Get(':id/logs')
  @Requires('tasks:read')
  @ApiProblems('task_not_found', 'invalid_parameter')
  @Header('X-Content-Type-Options', 'nosniff')
  @Header('Cache-Control', 'no-store')
  @Header('Vary', 'Accept')
  @ApiQuery({
    name: 'prefix',
    required: false,
    type: String,
    description: 'What each line begins with: time, step, or both as time,step.',
  })
  @ApiQuery({ name: 'step', required: false, type: String, description: 'Only the output of this step.' })
  @ApiQuery({ name: 'attempt', required: false, type: Number, description: 'Only the output of this attempt.' })
  @ApiQuery({
    name: 'ansi',
    required: false,
    enum: LOG_COLOURS,
    description: 'strip: without colours and all else that a terminal would act on.',
  })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Events only: go on behind this one.' })
  @ApiOkResponse({
    content: { 'text/plain': { schema: { type: 'string' } }, [EVENT_STREAM]: { schema: { type: 'string' } } },
  })
  async read(
    @Param('id', TaskIdPipe) id: string,
    @Query() query: Record<string, unknown>,
    @Headers('accept') accept: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile | undefined> {
    const asEvents = asksForEvents(accept);
    const { filter, look } = readLogQuery(query, asEvents);
    const over = this.lasting.begin(request, reply.raw);
    if (!asEvents) {
      const text = await this.logs.text(id, filter, look);
      return new StreamableFile(this.answers.answer(reply, text, { over }), { type: 'text/plain; charset=utf-8' });
    }
    const events = await this.logs.events(id, filter, readLastEventId(lastEventId));
    // By this a browser's EventSource knows that it need not come back.
    if (!events) return void reply.status(204);
    void reply.header(UNBUFFERED.name, UNBUFFERED.value);
    return new StreamableFile(this.answers.answer(reply, events, { over }), { type: EVENT_STREAM });
  }
}

function asksForEvents(accept = ''): boolean {
  return accept.split(',').some((range) => range.split(';')[0]!.trim().toLowerCase() === EVENT_STREAM);
}
