import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBearerAuth, ApiBody, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { bulkBody } from './bulk-api.decorator.js';
import { BulkService } from './bulk.service.js';
import { BulkAnswer } from './dead-letter.dto.js';

/** The cancel of many tasks. */
@ApiTags('tasks')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'invalid_parameter', 'database_unavailable')
@Controller('api/tasks')
export class BulkCancelController {
  constructor(private readonly bulk: BulkService) {}

  /** Cancels all tasks that have not ended and for which the filter holds. Over 1,000 of them become a job. */
  @Post('cancel')
  @Requires('tasks:cancel')
  @HttpCode(200)
  @ApiOkResponse({ type: BulkAnswer })
  @ApiAcceptedResponse({ type: BulkAnswer, description: 'A job does it in the background.' })
  @ApiBody(bulkBody('cancel'))
  cancel(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BulkAnswer> {
    return this.bulk.start('cancel', body, { caller, requestId: request.id }, reply);
  }
}
