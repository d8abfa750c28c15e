import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiConsumes, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblems } from '../../common/http/api-problems.decorator.js';
import { PAGE_PARAMETERS, PageQuery } from '../../common/http/page-query.js';
import { QueryPipe } from '../../common/http/query.pipe.js';
import { Caller, type Principal, Requires } from '../principal.js';
import { readApiKey } from './api-key-body.js';
import { ApiKeyPage, ApiKeyView, ApiKeyWithSecret, toApiKeyView } from './api-key.dto.js';
import { ApiKeysService, type Operator } from './api-keys.service.js';

const EXAMPLE = {
  name: 'ci-frontend',
  roles: ['submitter'],
  scopes: ['frontend-*'],
  expires_at: '2030-01-31T00:00:00Z',
};
const BODY = { schema: { type: 'object', example: EXAMPLE } } as const;
const PART = { schema: { type: 'object', example: { expires_at: '2030-01-31T00:00:00Z' } } } as const;

/** Keys of callers: who may do what. docs/access.md has the roles. */
@ApiTags('api keys')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/api-keys')
export class ApiKeysController {
  constructor(private readonly keys: ApiKeysService) {}

  /** Makes a key. The answer has it, and shows it this once. */
  @Post()
  @Requires('keys:manage')
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(BODY)
  @ApiProblems('malformed_json', 'malformed_yaml', 'body_too_large', 'unsupported_media_type')
  @ApiProblems('invalid_parameter', 'conflict')
  async create(
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ApiKeyWithSecret> {
    const fields = readApiKey(body, request.headers['content-type'], 'whole');
    const key = await this.keys.create(fields, operator(caller, request));
    void reply.header('Location', key.links.self!).header('Cache-Control', 'no-store');
    return key;
  }

  /** All keys, oldest first, page by page; the revoked ones too. */
  @Get()
  @Requires('keys:manage')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String })
  list(@Query(new QueryPipe(PageQuery, PAGE_PARAMETERS)) query: PageQuery): Promise<ApiKeyPage> {
    return this.keys.list(query);
  }

  /** One key. */
  @Get(':id')
  @Requires('keys:manage')
  @ApiProblems('api_key_not_found')
  async detail(@Param('id') id: string): Promise<ApiKeyView> {
    return toApiKeyView(await this.keys.get(id));
  }

  /** Changes the fields that are given; the key itself stays the same. A time that has passed ends it. */
  @Patch(':id')
  @Requires('keys:manage')
  @ApiConsumes('application/json', 'application/yaml')
  @ApiBody(PART)
  @ApiProblems('malformed_json', 'api_key_not_found', 'unsupported_media_type', 'invalid_parameter', 'conflict')
  async edit(
    @Param('id') id: string,
    @Body() body: Buffer | undefined,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<ApiKeyView> {
    const fields = readApiKey(body, request.headers['content-type'], 'part');
    return toApiKeyView(await this.keys.edit(id, fields, operator(caller, request)));
  }

  /** Revokes it, for good: within seconds no instance takes it any more. */
  @Delete(':id')
  @HttpCode(204)
  @Requires('keys:manage')
  @ApiProblems('api_key_not_found')
  async revoke(@Param('id') id: string, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<void> {
    await this.keys.revoke(id, operator(caller, request));
  }
}

function operator({ name }: Principal, { id }: FastifyRequest): Operator {
  return { actor: name, requestId: id };
}
