import { Test } from '@nestjs/testing';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../auth/principal.js';
import { SpecsController } from './specs.controller.js';
import { SpecsService } from './specs.service.js';

const JANE: Principal = { name: 'jane', roles: ['author'] };

async function setup(headers: Record<string, string> = {}) {
  const accepted = async () => ({ body: { task_id: 'task-1' }, replayed: false });
  const service = { submit: jest.fn(accepted), execute: jest.fn(accepted) };
  const module = await Test.createTestingModule({
    controllers: [SpecsController],
    providers: [{ provide: SpecsService, useValue: service }],
  }).compile();
  const header = jest.fn();
  const status = jest.fn();
  const request = {
    id: 'request-1',
    method: 'POST',
    url: '/api/specs',
    headers: { 'content-type': 'text/yaml', ...headers },
  } as FastifyRequest;
  const submit = (query: Record<string, unknown>) =>
    module.get(SpecsController).submit(Buffer.from('x'), query, JANE, request, {
      header,
      status,
    } as unknown as FastifyReply);
  const execute = () =>
    module.get(SpecsController).execute('deploy-app', undefined, {}, JANE, request, {
      header,
    } as unknown as FastifyReply);
  return { submit, execute, service, header, status };
}

describe('SpecsController', () => {
  it('delegates, and says where the task is', async () => {
    const { submit, service, header } = await setup();
    expect(await submit({ priority: 'high' })).toEqual({ task_id: 'task-1' });
    expect(header).toHaveBeenCalledWith('Location', '/api/tasks/task-1');
    expect(service.submit).toHaveBeenCalledWith({
      body: Buffer.from('x'),
      contentType: 'text/yaml',
      query: expect.objectContaining({ priority: 'high' }),
      caller: JANE,
      requestId: 'request-1',
    });
  });

  it('answers a dry run with 200 and no place', async () => {
    const { submit, service, header, status } = await setup();
    service.submit.mockResolvedValue({ body: { steps: [] }, replayed: false } as never);
    await submit({ dry_run: 'true' });
    expect(status).toHaveBeenCalledWith(200);
    expect(header).not.toHaveBeenCalled();
  });

  it('delegates a golden path by its name', async () => {
    const { execute, service, header } = await setup();
    await execute();
    expect(service.execute).toHaveBeenCalledWith('deploy-app', expect.objectContaining({ caller: JANE }));
    expect(header).toHaveBeenCalledWith('Location', '/api/tasks/task-1');
  });

  it('hands an idempotency key on, and says so where the answer is not the first', async () => {
    const { submit, service, header } = await setup({ 'idempotency-key': 'k' });
    await submit({});
    expect(service.submit).toHaveBeenCalledWith(
      expect.objectContaining({ idempotency: { key: 'k', bodyHash: expect.any(String) } }),
    );
    expect(header).not.toHaveBeenCalledWith('Idempotent-Replayed', 'true');
    service.submit.mockResolvedValue({ body: { task_id: 'task-0' }, replayed: true });
    expect(await submit({})).toEqual({ task_id: 'task-0' });
    expect(header).toHaveBeenCalledWith('Location', '/api/tasks/task-0');
    expect(header).toHaveBeenCalledWith('Idempotent-Replayed', 'true');
  });

  it('refuses a wrong parameter before anything is read', async () => {
    const { submit, service } = await setup();
    await expect(submit({ prio: 'high' })).rejects.toMatchObject({ code: 'invalid_parameter' });
    expect(service.submit).not.toHaveBeenCalled();
  });
});
