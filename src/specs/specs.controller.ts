import { Body, Controller, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiBody,
  ApiConsumes,
  ApiOkResponse,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires } from '../auth/principal.js';
import { DryRun } from './dry-run.dto.js';
import { EXAMPLE_EXECUTION, EXAMPLE_SUBMISSION } from './example-submission.js';
import { readIdempotencyKey } from './idempotency-key.js';
import { SpecsService, type SubmissionRequest, type SubmissionResult } from './specs.service.js';
import { ApiSubmission } from './api-submission.decorator.js';
import { readSubmissionQuery } from './submission-query.js';
import { SubmissionAccepted } from './submission.dto.js';

/** The ways in: a Score document, or a golden path by name, becomes a task. */
@ApiTags('submissions')
@ApiBearerAuth()
@Controller('api')
export class SpecsController {
  constructor(private readonly specs: SpecsService) {}

  /**
   * Submits a Score document. Answers when the task is stored; workers run it in the background.
   *
   * Besides the parameters below: `param.<name>` gives a parameter of the golden path, `label.<name>` a label of the task.
   */
  @Post('specs')
  @HttpCode(202)
  @ApiConsumes('application/yaml', 'application/json')
  @ApiBody({ schema: { type: 'string', example: EXAMPLE_SUBMISSION } })
  @ApiQuery({ name: 'golden_path', required: false, type: String })
  @ApiAcceptedResponse({ type: SubmissionAccepted })
  @ApiOkResponse({ type: DryRun, description: 'With dry_run=true.' })
  @ApiSubmission()
  @Requires('tasks:submit', { refusals: ['out_of_scope', 'inline_steps_forbidden'] })
  async submit(
    @Body() body: Buffer | undefined,
    @Query() query: Record<string, unknown>,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubmissionAccepted | DryRun> {
    const accepted = await this.specs.submit(submissionOf(body, query, caller, request));
    return answer(accepted, reply);
  }

  /**
   * Runs a golden path: with a Score document, or with JSON `{app_name, parameters, labels, spec}`.
   *
   * Besides the parameters below: `param.<name>` gives a parameter of the golden path, `label.<name>` a label of the task.
   */
  @Post('workflows/golden-paths/:name/execute')
  @HttpCode(202)
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody({ schema: { type: 'object', example: EXAMPLE_EXECUTION } })
  @ApiAcceptedResponse({ type: SubmissionAccepted })
  @ApiOkResponse({ type: DryRun, description: 'With dry_run=true.' })
  @ApiSubmission()
  @Requires('tasks:submit', { refusals: ['out_of_scope', 'inline_steps_forbidden'] })
  async execute(
    @Param('name') name: string,
    @Body() body: Buffer | undefined,
    @Query() query: Record<string, unknown>,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubmissionAccepted | DryRun> {
    const accepted = await this.specs.execute(name, submissionOf(body, query, caller, request));
    return answer(accepted, reply);
  }
}

function submissionOf(
  body: Buffer | undefined,
  query: Record<string, unknown>,
  caller: Principal,
  request: FastifyRequest,
): SubmissionRequest {
  const idempotency = readIdempotencyKey(request, body);
  const contentType = request.headers['content-type'];
  return {
    body,
    contentType,
    query: readSubmissionQuery(query),
    caller,
    requestId: request.id,
    idempotency,
  };
}

/** A dry run has made nothing that could be found anywhere. */
function answer({ body, replayed }: SubmissionResult, reply: FastifyReply): SubmissionAccepted | DryRun {
  if ('task_id' in body) void reply.header('Location', `/api/tasks/${body.task_id}`);
  else void reply.status(200);
  if (replayed) void reply.header('Idempotent-Replayed', 'true');
  return body;
}
