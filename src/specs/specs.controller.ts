import { Body, Controller, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiConsumes, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Caller, type Principal } from '../auth/principal.js';
import { TASK_PRIORITIES } from '../queue/queue-options.js';
import { EXAMPLE_SUBMISSION } from './example-submission.js';
import { SpecsService } from './specs.service.js';
import { readSubmissionQuery } from './submission-query.js';
import { SubmissionAccepted } from './submission.dto.js';

/** The way in: a Score document becomes a task. */
@ApiTags('specs')
@ApiBearerAuth()
@Controller('api/specs')
export class SpecsController {
  constructor(private readonly specs: SpecsService) {}

  /** Submits a Score document. Answers when the task is stored; workers run it in the background. */
  @Post()
  @HttpCode(202)
  @ApiConsumes('application/yaml', 'application/json')
  @ApiBody({ schema: { type: 'string', example: EXAMPLE_SUBMISSION } })
  @ApiQuery({ name: 'golden_path', required: false, type: String })
  @ApiQuery({ name: 'priority', required: false, enum: TASK_PRIORITIES })
  @ApiQuery({ name: 'start_within', required: false, type: String, example: '90s' })
  @ApiQuery({ name: 'run_at', required: false, type: String, description: 'Not before this time (RFC 3339).' })
  @ApiQuery({ name: 'delay', required: false, type: String, description: 'Not before so long from now, e.g. 10m.' })
  @ApiQuery({ name: 'max_attempts', required: false, type: Number })
  @ApiQuery({ name: 'timeout', required: false, type: String, description: 'For one run of the task, e.g. 30m.' })
  async submit(
    @Body() body: Buffer | undefined,
    @Query() query: Record<string, unknown>,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubmissionAccepted> {
    const accepted = await this.specs.submit({
      body,
      contentType: request.headers['content-type'],
      query: readSubmissionQuery(query),
      user: caller.name,
      requestId: request.id,
    });
    void reply.header('Location', `/api/tasks/${accepted.task_id}`);
    return accepted;
  }
}
