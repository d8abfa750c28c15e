import { EventEmitter } from 'node:events';
import { Test } from '@nestjs/testing';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../common/problem/problem.js';
import { PageQuery } from '../common/http/page-query.js';
import { LastingCalls } from '../auth/lasting-calls.js';
import type { Principal } from '../auth/principal.js';
import { readListQuery } from './list-query.js';
import { TasksController } from './tasks.controller.js';
import { RetriesService } from './retries.service.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TasksService } from './tasks.service.js';

async function setup() {
  const service = {
    list: jest.fn(async () => ({ tasks: [], next_cursor: null })),
    detail: jest.fn(async () => ({ task_id: 'task-1' })),
    detailWhenEnded: jest.fn(async (_id: string, _wait: number, _gone: AbortSignal) => ({ task_id: 'task-1' })),
    events: jest.fn(async () => ({ events: [], next_cursor: null })),
    cancel: jest.fn(async () => ({ task_id: 'task-1' })),
    verb: jest.fn((work: () => Promise<void>) => work()),
  };
  const over = new AbortController();
  const retries = { retry: jest.fn(async () => undefined) };
  const module = await Test.createTestingModule({
    controllers: [TasksController],
    providers: [
      { provide: TasksService, useValue: service },
      { provide: RetriesService, useValue: retries },
      { provide: LastingCalls, useValue: { begin: () => over.signal } },
    ],
  })
    .overrideGuard(TaskAccessGuard)
    .useValue({})
    .compile();
  return { controller: module.get(TasksController), service, retries, over };
}

const request = { id: 'request-1' } as FastifyRequest;
const reply = { raw: new EventEmitter() } as unknown as FastifyReply;
const caller: Principal = { name: 'jane', roles: ['operator'], scopes: ['sh*'] };

describe('TasksController', () => {
  it('hands queries and ids to the service', async () => {
    const { controller, service } = await setup();
    const page = new PageQuery();
    await controller.list({ status: 'failed', 'label.team': 'a' }, ['sh*']);
    await controller.detail('task-1', {}, request, reply);
    await controller.events('task-1', page);
    expect(service.list).toHaveBeenCalledWith(readListQuery({ status: 'failed', 'label.team': 'a' }), ['sh*']);
    expect(service.detail).toHaveBeenCalledWith('task-1');
    expect(service.events).toHaveBeenCalledWith('task-1', page);
  });

  it('waits as long as asked, or until the caller is gone', async () => {
    const { controller, service } = await setup();
    await controller.detail('task-1', { wait: 60 }, request, reply);
    const [id, wait, gone] = service.detailWhenEnded.mock.calls[0]!;
    expect([id, wait, gone.aborted]).toEqual(['task-1', 60, false]);
    reply.raw.emit('close');
    expect(gone.aborted).toBe(true);
  });

  it('tells nobody what it waited for whose key has ended meanwhile', async () => {
    const { controller, service, over } = await setup();
    const ended = new Problem('unauthorized', 'ended');
    service.detailWhenEnded.mockImplementation(async (_id, _wait, gone) => {
      over.abort(ended);
      expect(gone.aborted).toBe(true);
      return { task_id: 'task-1' };
    });
    await expect(controller.detail('task-1', { wait: 60 }, request, reply)).rejects.toBe(ended);
  });

  it('passes the caller, the request and the reason on', async () => {
    const { controller, service, retries } = await setup();
    await controller.cancel('task-1', Buffer.from('{"reason": "too slow"}'), caller, request);
    await controller.cancel('task-1', undefined, caller, request);
    await controller.retry('task-1', Buffer.from('{"from_step": "build"}'), caller, request);
    expect(service.cancel).toHaveBeenNthCalledWith(1, 'task-1', 'jane', 'request-1', 'too slow');
    expect(service.cancel).toHaveBeenNthCalledWith(2, 'task-1', 'jane', 'request-1', undefined);
    const by = { actor: 'jane', requestId: 'request-1' };
    expect(retries.retry).toHaveBeenCalledWith('task-1', { from_step: 'build' }, by, caller);
  });
});
