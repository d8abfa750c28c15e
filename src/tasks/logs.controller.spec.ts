import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LastingCalls } from '../auth/lasting-calls.js';
import { LogsController } from './logs.controller.js';
import { OpenAnswers } from '../common/http/open-answers.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TaskLogsService } from './task-logs.service.js';

const RAW = { time: false, step: false, plain: false };

async function setup() {
  const produce = () =>
    (async function* () {
      yield Buffer.from([0x1b, 0x5b, 0x33]);
      yield Buffer.from('end');
    })();
  const over = new AbortController();
  const service = {
    text: jest.fn(async () => produce),
    events: jest.fn(async (): Promise<typeof produce | undefined> => produce),
  };
  const module = await Test.createTestingModule({
    controllers: [LogsController],
    providers: [
      OpenAnswers,
      { provide: LastingCalls, useValue: { begin: () => over.signal } },
      { provide: TaskLogsService, useValue: service },
    ],
  })
    .overrideGuard(TaskAccessGuard)
    .useValue({})
    .compile();
  const request = {} as FastifyRequest;
  const headers: Record<string, string> = {};
  const status = jest.fn();
  const reply = {
    raw: new EventEmitter(),
    status,
    header: (name: string, value: string) => (headers[name] = value),
  } as unknown as FastifyReply;
  return { controller: module.get(LogsController), service, request, reply, headers, status, over };
}

describe('LogsController', () => {
  it('answers with text, in the bytes that were stored', async () => {
    const { controller, service, request, reply } = await setup();
    const file = (await controller.read('task-1', { step: 'build' }, '*/*', undefined, request, reply))!;
    const read: Buffer[] = [];
    for await (const chunk of file.getStream()) read.push(Buffer.from(chunk as Uint8Array));
    expect(Buffer.concat(read)).toEqual(Buffer.from('\x1b[3end', 'latin1'));
    expect(file.getHeaders().type).toBe('text/plain; charset=utf-8');
    expect(service.text).toHaveBeenCalledWith('task-1', { step: 'build' }, RAW);
  });

  it.each([
    [undefined, false],
    ['text/plain', false],
    ['application/json, text/event-streams', false],
    ['text/event-stream', true],
    ['application/json, Text/Event-Stream;q=0.5', true],
  ])('asked for %p answers with events: %p', async (accept, asEvents) => {
    const { controller, service, request, reply, headers } = await setup();
    const file = await controller.read('task-1', {}, accept, '7', request, reply);
    expect(file!.getHeaders().type).toBe(asEvents ? 'text/event-stream' : 'text/plain; charset=utf-8');
    expect(service.events.mock.calls).toEqual(asEvents ? [['task-1', {}, { after: '7', ended: false }]] : []);
    expect(headers).toEqual(asEvents ? { 'X-Accel-Buffering': 'no' } : {});
  });

  it.each(['*/*', 'text/event-stream'])('ends when its reader may read no more: %s', async (accept) => {
    const { controller, request, reply, over, service } = await setup();
    const endless = () =>
      (async function* () {
        for (;;) {
          await turn();
          yield Buffer.from('hello');
        }
      })();
    service.text.mockResolvedValue(endless);
    service.events.mockResolvedValue(endless);
    const body = (await controller.read('task-1', {}, accept, undefined, request, reply))!.getStream();
    const broken = new Promise<Error>((resolve) => void body.once('error', resolve));
    body.resume();
    over.abort();
    expect(String(await broken)).toContain('may read no more');
  });

  it('sends a reader away who has had all events', async () => {
    const { controller, service, request, reply, status } = await setup();
    service.events.mockResolvedValue(undefined);
    expect(await controller.read('task-1', {}, 'text/event-stream', '7.end', request, reply)).toBeUndefined();
    expect(status).toHaveBeenCalledWith(204);
  });
});
