import { Body, Controller, Get, Logger, type LoggerService, Param, Post, Res } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from './problem.js';
import { ProblemFilter } from './problem.filter.js';
import { sendProblem } from './send-problem.js';

@Controller()
class Failing {
  @Get('problem')
  problem(): never {
    throw new Problem('draining', 'The queue holds 10 tasks.', { headers: { 'Retry-After': '7' } });
  }

  @Get('bug')
  bug(): never {
    throw new Error('password=hunter2');
  }

  @Get('database')
  database(): never {
    throw Object.assign(new Error('terminating connection'), { code: '57P01' });
  }

  @Get('twice')
  twice(@Res() reply: FastifyReply): never {
    void reply.send({ good: true });
    throw new Error('after the answer');
  }

  @Get('stream')
  stream(@Res() reply: FastifyReply): never {
    reply.raw.writeHead(200, { 'content-type': 'text/plain' });
    reply.raw.end('begun');
    throw new Error('in the middle');
  }

  @Get('items/:id')
  item(@Param('id') id: string): object {
    return { id };
  }

  @Post('echo')
  echo(@Body() body: unknown): unknown {
    return body;
  }
}

let app: NestFastifyApplication;
const logged: string[] = [];
const note = (...parts: unknown[]): void => void logged.push(parts.map(String).join(' '));
const recorder: LoggerService = { log: () => undefined, error: note, warn: note };

beforeAll(async () => {
  const module = await Test.createTestingModule({ controllers: [Failing] }).compile();
  const adapter = new FastifyAdapter({
    bodyLimit: 1000,
    genReqId: () => 'req-1',
    routerOptions: { maxParamLength: 50 },
    frameworkErrors: sendProblem,
  });
  app = module.createNestApplication<NestFastifyApplication>(adapter, { bufferLogs: false });
  app.useGlobalFilters(new ProblemFilter());
  Logger.overrideLogger(recorder);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
});

afterAll(() => app.close());
beforeEach(() => void logged.splice(0));

test('a Problem is answered as it is, with its headers and the request id', async () => {
  const answer = await app.inject('/problem');
  expect(answer.statusCode).toBe(503);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(answer.headers['retry-after']).toBe('7');
  expect(answer.headers['x-request-id']).toBe('req-1');
  expect(answer.json()).toEqual({
    type: 'urn:turnpike:error:draining',
    title: 'This instance is shutting down',
    status: 503,
    code: 'draining',
    detail: 'The queue holds 10 tasks.',
    request_id: 'req-1',
  });
});

test('a bug is a 500 whose cause is in the log alone, under the request id', async () => {
  const answer = await app.inject('/bug');
  expect(answer.statusCode).toBe(500);
  expect(answer.body).not.toContain('hunter2');
  expect(answer.json<{ code: string }>().code).toBe('internal_error');
  const log = logged.join('\n');
  expect(log).toContain('request_id=req-1');
  expect(log).toContain('password=hunter2');
  expect(log).toMatch(/at .*problem\.filter\.spec/);
});

test('a lost database is a 503 with Retry-After, and a warning', async () => {
  const answer = await app.inject('/database');
  expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([503, 'database_unavailable']);
  expect(answer.headers['retry-after']).toBeDefined();
  expect(logged.join()).toContain('database_unavailable');
});

test('an answer is never sent twice', async () => {
  const answer = await app.inject('/twice');
  expect([answer.statusCode, answer.json()]).toEqual([200, { good: true }]);
  const stream = await app.inject('/stream');
  expect([stream.statusCode, stream.body]).toEqual([200, 'begun']);
  expect(logged.join()).toContain('in the middle');
});

test.each([
  { sent: true, raw: { headersSent: false } },
  { sent: false, raw: { headersSent: true } },
])('nor touched again: %j', (state) => {
  // A reply that answers every call with an error.
  const reply = new Proxy(state, {
    get: (target, key) => {
      if (key in target) return target[key as keyof typeof target];
      throw new Error(`${String(key)} was asked for`);
    },
  });
  const request = { id: 'req-1', method: 'GET' } as FastifyRequest;
  sendProblem(new Error('too late'), request, reply as unknown as FastifyReply);
  expect(logged.join()).toContain('too late');
});

const yaml = { 'content-type': 'application/x-unknown' };
const json = { 'content-type': 'application/json' };

test.each([
  ['an unknown route', { url: '/nothing' }, 404, 'not_found'],
  ['a bad escape in the address', { url: '/items/%zz' }, 400, 'bad_request'],
  ['a parameter that is too long', { url: `/items/${'x'.repeat(60)}` }, 414, 'uri_too_long'],
  [
    'an unknown content type',
    { method: 'POST', url: '/echo', headers: yaml, payload: 'a' },
    415,
    'unsupported_media_type',
  ],
  ['a large body', { method: 'POST', url: '/echo', headers: json, payload: ' '.repeat(2000) }, 413, 'body_too_large'],
  ['broken JSON', { method: 'POST', url: '/echo', headers: json, payload: '{"a":' }, 400, 'malformed_json'],
  ['an empty JSON body', { method: 'POST', url: '/echo', headers: json, payload: '' }, 400, 'malformed_json'],
  [
    'a wrong length',
    { method: 'POST', url: '/echo', headers: { ...json, 'content-length': '5' }, payload: '{"a":1}' },
    400,
    'bad_request',
  ],
] as const)('%s is a problem too', async (_, request, status, code) => {
  const answer = await app.inject(request);
  const body = answer.json<{ code: string; request_id: string; detail: string }>();
  expect([answer.statusCode, body.code, body.request_id]).toEqual([status, code, 'req-1']);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(body.detail).toMatch(/\w/);
  expect(logged).toEqual([]);
});
