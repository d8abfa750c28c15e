import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
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
import { Caller, type Principal, Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { PAGE_PARAMETERS, PageQuery } from '../common/http/page-query.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { DeliveriesService } from './deliveries.service.js';
import { DELIVERY_PARAMETERS, DELIVERY_STATUSES, DeliveryQuery, readOverlap } from './delivery-query.js';
import { readWebhook } from './webhook-body.js';
import { CallbackView, DeliveryPage, DeliveryView, TestResult } from './webhook.dto.js';
import { toWebhookView, WebhookPage, WebhookView, WebhookWithSecret } from './webhook.dto.js';
import { type Operator, WebhooksService } from './webhooks.service.js';

const PAGE = new QueryPipe(PageQuery, PAGE_PARAMETERS);
const DELIVERIES = new QueryPipe(DeliveryQuery, DELIVERY_PARAMETERS);
const EXAMPLE = {
  url: 'https://ci.example.com/hooks',
  events: ['task.completed', 'task.failed'],
  apps: ['frontend-*'],
};
const BODY = { schema: { type: 'object', example: EXAMPLE } } as const;
const PART = { schema: { type: 'object', example: { events: ['*'] } } } as const;
const OVERLAP = { schema: { type: 'object', example: { overlap: '24h' } }, required: false } as const;

/** Events of tasks, signed and sent to addresses as Standard Webhooks say. */
@ApiTags('webhooks')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/webhooks')
export class WebhooksController {
  constructor(
    private readonly webhooks: WebhooksService,
    private readonly deliveries: DeliveriesService,
  ) {}

  /** Makes a webhook. It is told what happens from now on. The answer has its secret, which is shown this once. */
  @Post()
  @Requires('webhooks:manage', { refusals: ['out_of_scope'] })
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(BODY)
  @ApiProblems('malformed_json', 'malformed_yaml', 'body_too_large', 'unsupported_media_type', 'invalid_parameter')
  async create(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<WebhookWithSecret> {
    const fields = readWebhook(body, request.headers['content-type'], 'whole');
    const webhook = await this.webhooks.create(fields, operator(caller, request));
    void reply.header('Location', webhook.links.self!);
    return webhook;
  }

  /** All webhooks, oldest first, page by page. */
  @Get()
  @Requires('webhooks:read')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  list(@Query(PAGE) query: PageQuery, @Scopes() apps: readonly string[] | undefined): Promise<WebhookPage> {
    return this.webhooks.list(query, apps);
  }

  /** What became of the callback of a task that was submitted with `callback_url` and has ended. */
  @Get('callbacks/:task')
  @Requires('tasks:read')
  @ApiProblems('callback_not_found')
  callback(@Param('task') taskId: string, @Scopes() apps: readonly string[] | undefined): Promise<CallbackView> {
    return this.deliveries.callbackOf(taskId, apps);
  }

  /** One webhook. */
  @Get(':id')
  @Requires('webhooks:read')
  @ApiProblems('webhook_not_found')
  async detail(@Param('id') id: string, @Scopes() apps: readonly string[] | undefined): Promise<WebhookView> {
    return toWebhookView(await this.webhooks.get(id, apps));
  }

  /** Changes the fields that are given. */
  @Patch(':id')
  @Requires('webhooks:manage', { refusals: ['out_of_scope'] })
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(PART)
  @ApiProblems('malformed_json', 'webhook_not_found', 'unsupported_media_type', 'invalid_parameter')
  async edit(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<WebhookView> {
    const fields = readWebhook(body, request.headers['content-type'], 'part');
    return toWebhookView(await this.webhooks.edit(id, fields, operator(caller, request)));
  }

  /** Removes it, with all its deliveries. */
  @Delete(':id')
  @Requires('webhooks:manage')
  @HttpCode(204)
  @ApiProblems('webhook_not_found')
  async remove(@Param('id') id: string, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<void> {
    await this.webhooks.remove(id, operator(caller, request));
  }

  /** Switches it off: what is pending waits, and what happens meanwhile is not told. */
  @Post(':id/pause')
  @Requires('webhooks:manage')
  @HttpCode(200)
  @ApiProblems('webhook_not_found')
  async pause(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<WebhookView> {
    return toWebhookView(await this.webhooks.edit(id, { enabled: false }, operator(caller, request)));
  }

  /** Switches it on: what is pending is delivered, and what happens from now on. */
  @Post(':id/resume')
  @Requires('webhooks:manage')
  @HttpCode(200)
  @ApiProblems('webhook_not_found')
  async resume(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<WebhookView> {
    return toWebhookView(await this.webhooks.edit(id, { enabled: true }, operator(caller, request)));
  }

  /** Gives it a new secret, shown this once. The one before signs too for `overlap`, 24h unless given. */
  @Post(':id/rotate')
  @Requires('webhooks:manage')
  @HttpCode(200)
  @ApiConsumes('application/json')
  @ApiBody(OVERLAP)
  @ApiOkResponse({ type: WebhookWithSecret })
  @ApiProblems('malformed_json', 'webhook_not_found', 'invalid_parameter')
  rotate(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<WebhookWithSecret> {
    return this.webhooks.rotate(id, readOverlap(body), operator(caller, request));
  }

  /** Sends a message of the type `webhook.test`, once, and answers with what came of it. */
  @Post(':id/test')
  @Requires('webhooks:manage')
  @HttpCode(200)
  @ApiProblems('webhook_not_found')
  test(@Param('id') id: string, @Scopes() apps: readonly string[] | undefined): Promise<TestResult> {
    return this.deliveries.test(id, apps);
  }

  /** Its deliveries of the last 30 days, newest first. */
  @Get(':id/deliveries')
  @Requires('webhooks:read')
  @ApiProblems('webhook_not_found', 'invalid_parameter')
  @ApiQuery({ name: 'status', required: false, enum: DELIVERY_STATUSES })
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  listDeliveries(
    @Param('id') id: string,
    @Query(DELIVERIES) query: DeliveryQuery,
    @Scopes() apps: readonly string[] | undefined,
  ): Promise<DeliveryPage> {
    return this.deliveries.list(id, query, apps);
  }

  /** Delivers it once more, with all retries and the same `webhook-id`. */
  @Post(':id/deliveries/:delivery/redeliver')
  @Requires('webhooks:manage')
  @HttpCode(202)
  @ApiAcceptedResponse({ type: DeliveryView })
  @ApiProblems('webhook_not_found', 'delivery_not_found', 'conflict')
  redeliver(
    @Param('id') id: string,
    @Param('delivery') delivery: string,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<DeliveryView> {
    return this.deliveries.redeliver(id, delivery, operator(caller, request));
  }
}

function operator(caller: Principal, { id }: FastifyRequest): Operator {
  return { actor: caller.name, requestId: id, caller };
}
