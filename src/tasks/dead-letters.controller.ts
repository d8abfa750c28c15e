import { Body, Controller, Get, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBearerAuth, ApiBody, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { bulkBody, DeadLetterFilterParameters } from './bulk-api.decorator.js';
import { BulkService } from './bulk.service.js';
import { BulkAnswer, DeadLetterGroupsView, DeadLetterPage } from './dead-letter.dto.js';
import {
  DEAD_LETTER_GROUPS_PARAMETERS,
  DEAD_LETTERS_PARAMETERS,
  DeadLetterGroupsQuery,
  DeadLettersQuery,
} from './dead-letters-query.js';
import { DeadLettersService } from './dead-letters.service.js';

/** Dead letters: failed tasks that nobody has dealt with. */
@ApiTags('queue')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'invalid_parameter', 'database_unavailable')
@Controller('api/queue/dead-letters')
export class DeadLettersController {
  constructor(
    private readonly deadLetters: DeadLettersService,
    private readonly bulk: BulkService,
  ) {}

  /** The dead letters, the latest failure first, page by page. */
  @Get()
  @Requires('tasks:read')
  @DeadLetterFilterParameters('cursor')
  list(
    @Query(new QueryPipe(DeadLettersQuery, DEAD_LETTERS_PARAMETERS)) query: DeadLettersQuery,
    @Scopes() apps: readonly string[] | undefined,
  ): Promise<DeadLetterPage> {
    return this.deadLetters.list(query, apps);
  }

  /** The same by cause and error, the most numerous group first. */
  @Get('groups')
  @Requires('tasks:read')
  @DeadLetterFilterParameters('group_by')
  groups(
    @Query(new QueryPipe(DeadLetterGroupsQuery, DEAD_LETTER_GROUPS_PARAMETERS)) query: DeadLetterGroupsQuery,
    @Scopes() apps: readonly string[] | undefined,
  ): Promise<DeadLetterGroupsView> {
    return this.deadLetters.groups(query, apps);
  }

  /** Sends dead letters through the queue again: each goes on where it failed. Over 1,000 of them become a job. */
  @Post('redrive')
  @Requires('dead-letters:manage')
  @HttpCode(200)
  @ApiOkResponse({ type: BulkAnswer })
  @ApiAcceptedResponse({ type: BulkAnswer, description: 'A job does it in the background.' })
  @ApiBody(bulkBody('redrive'))
  redrive(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BulkAnswer> {
    return this.bulk.start('redrive', body, { caller, requestId: request.id }, reply);
  }

  /** Takes them out of the list; the tasks stay failed, and can still be redriven by their ids. */
  @Post('discard')
  @Requires('dead-letters:manage')
  @HttpCode(200)
  @ApiOkResponse({ type: BulkAnswer })
  @ApiAcceptedResponse({ type: BulkAnswer, description: 'A job does it in the background.' })
  @ApiBody(bulkBody('discard'))
  discard(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BulkAnswer> {
    return this.bulk.start('discard', body, { caller, requestId: request.id }, reply);
  }
}
