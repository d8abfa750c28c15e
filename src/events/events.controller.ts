import { Controller, Get, Header, Headers, Query, Req, Res, StreamableFile } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOkResponse, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LastingCalls } from '../auth/lasting-calls.js';
import { Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { OpenAnswers } from '../common/http/open-answers.js';
import { EVENT_STREAM, UNBUFFERED } from '../common/http/server-events.js';
import { readEventCursor, readEventQuery } from './event-query.js';
import { EventStreamService } from './event-stream.service.js';

/** What happens to tasks, as it happens. */
@ApiTags('events')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'invalid_parameter', 'events_removed', 'database_unavailable')
@Controller('api/events')
export class EventsController {
  constructor(
    private readonly stream: EventStreamService,
    private readonly answers: OpenAnswers,
    private readonly lasting: LastingCalls,
  ) {}

  /**
   * The events of all tasks, whichever instance runs them, as server-sent events: from now on, or behind `Last-Event-ID`,
   * without a gap or a double. docs/events.md has the types and what an event tells.
   */
  @Get('stream')
  @Requires('tasks:read')
  @Header('X-Content-Type-Options', 'nosniff')
  @Header('Cache-Control', 'no-store')
  @Header(UNBUFFERED.name, UNBUFFERED.value)
  @ApiQuery({ name: 'app_name', required: false, type: String })
  @ApiQuery({ name: 'workflow_name', required: false, type: String })
  @ApiQuery({
    name: 'type',
    required: false,
    type: String,
    description: 'Only events of this type; several with commas between them.',
  })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Go on behind this event.' })
  @ApiOkResponse({ content: { [EVENT_STREAM]: { schema: { type: 'string' } } } })
  async read(
    @Query() query: Record<string, unknown>,
    @Scopes() apps: readonly string[] | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile> {
    const filter = { ...readEventQuery(query), apps };
    const over = this.lasting.begin(request, reply.raw);
    const from = await this.stream.begin(readEventCursor(lastEventId));
    const produce = (gone: AbortSignal) => this.stream.produce(filter, from, gone);
    const body = this.answers.answer(reply, produce, { over });
    return new StreamableFile(body, { type: EVENT_STREAM });
  }
}
