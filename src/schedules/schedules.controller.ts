import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query, Req, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiBearerAuth, ApiBody, ApiConsumes, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Caller, type Principal, Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { PAGE_PARAMETERS, PageQuery } from '../common/http/page-query.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { EXAMPLE_SCHEDULE } from './example-schedule.js';
import { readSchedule } from './schedule-body.js';
import { FiringPage, SchedulePage, ScheduleRun, ScheduleView, toScheduleView } from './schedule.dto.js';
import { type Operator, SchedulesService } from './schedules.service.js';

const REFUSALS = { refusals: ['out_of_scope', 'inline_steps_forbidden'] } as const;
const PAGE = new QueryPipe(PageQuery, PAGE_PARAMETERS);
const BODY = { schema: { type: 'object', example: EXAMPLE_SCHEDULE } } as const;
const PART = { schema: { type: 'object', example: { paused: true } } } as const;

/** Golden paths that run by the clock. An `:id` in an address is the schedule's id or its name. */
@ApiTags('schedules')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/schedules')
export class SchedulesController {
  constructor(private readonly schedules: SchedulesService) {}

  /** Makes a schedule. Whatever a submission of the same would be refused for is refused here. */
  @Post()
  @Requires('schedules:write', REFUSALS)
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(BODY)
  @ApiProblems('malformed_json', 'malformed_yaml', 'body_too_large', 'unsupported_media_type')
  @ApiProblems('invalid_parameter', 'invalid_document', 'conflict')
  async create(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ScheduleView> {
    const fields = readSchedule(body, request.headers['content-type'], 'whole');
    const schedule = await this.schedules.create(fields, operator(caller, request));
    void reply.header('Location', `/api/schedules/${schedule.id}`);
    return toScheduleView(schedule);
  }

  /** All schedules, oldest first, page by page. */
  @Get()
  @Requires('schedules:read')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  list(@Query(PAGE) query: PageQuery, @Scopes() apps: readonly string[] | undefined): Promise<SchedulePage> {
    return this.schedules.list(query, apps);
  }

  /** One schedule, with when it fires next and what came of its last due time. */
  @Get(':id')
  @Requires('schedules:read')
  @ApiProblems('schedule_not_found')
  async detail(@Param('id') id: string, @Scopes() apps: readonly string[] | undefined): Promise<ScheduleView> {
    return toScheduleView(await this.schedules.get(id, apps));
  }

  /** What became of its due times, newest first: the last thousand. */
  @Get(':id/firings')
  @Requires('schedules:read')
  @ApiProblems('schedule_not_found', 'invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  firings(
    @Param('id') id: string,
    @Query(PAGE) query: PageQuery,
    @Scopes() apps: readonly string[] | undefined,
  ): Promise<FiringPage> {
    return this.schedules.listFirings(id, query, apps);
  }

  /** Changes the fields that are given. */
  @Patch(':id')
  @Requires('schedules:write', REFUSALS)
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(PART)
  @ApiProblems('malformed_json', 'schedule_not_found', 'unsupported_media_type')
  @ApiProblems('invalid_parameter', 'invalid_document', 'conflict')
  async edit(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<ScheduleView> {
    const fields = readSchedule(body, request.headers['content-type'], 'part');
    return toScheduleView(await this.schedules.edit(id, fields, 'part', operator(caller, request)));
  }

  /** Replaces all of it; a field that is left out gets its default, `paused` too. */
  @Put(':id')
  @Requires('schedules:write', REFUSALS)
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(BODY)
  @ApiProblems('malformed_json', 'schedule_not_found', 'unsupported_media_type')
  @ApiProblems('invalid_parameter', 'invalid_document', 'conflict')
  async replace(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<ScheduleView> {
    const fields = readSchedule(body, request.headers['content-type'], 'whole');
    return toScheduleView(await this.schedules.edit(id, fields, 'whole', operator(caller, request)));
  }

  /** Removes it; its tasks stay, and run on. */
  @Delete(':id')
  @Requires('schedules:write')
  @HttpCode(204)
  @ApiProblems('schedule_not_found')
  async remove(@Param('id') id: string, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<void> {
    await this.schedules.remove(id, operator(caller, request));
  }

  /** Pauses it: due times pass without a trace until it is resumed. */
  @Post(':id/pause')
  @Requires('schedules:operate')
  @HttpCode(200)
  @ApiProblems('schedule_not_found')
  async pause(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<ScheduleView> {
    return toScheduleView(await this.schedules.edit(id, { paused: true }, 'part', operator(caller, request)));
  }

  /** Lets it fire again, from its next due time on. */
  @Post(':id/resume')
  @Requires('schedules:operate')
  @HttpCode(200)
  @ApiProblems('schedule_not_found')
  async resume(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<ScheduleView> {
    return toScheduleView(await this.schedules.edit(id, { paused: false }, 'part', operator(caller, request)));
  }

  /** Makes a task of it now, whatever `overlap` says, and also while it is paused. */
  @Post(':id/run')
  @Requires('schedules:operate')
  @HttpCode(202)
  @ApiAcceptedResponse({ type: ScheduleRun })
  @ApiProblems('schedule_not_found', 'invalid_parameter', 'invalid_document', 'draining', 'database_unavailable')
  async run(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ScheduleRun> {
    const run = await this.schedules.run(id, operator(caller, request));
    void reply.header('Location', run.links.task!);
    return run;
  }
}

function operator(caller: Principal, { id }: FastifyRequest): Operator {
  return { actor: caller.name, requestId: id, caller };
}
