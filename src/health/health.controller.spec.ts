import { Test } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { QueueService } from '../queue/queue.service.js';
import { HealthController } from './health.controller.js';

async function setup(state: { draining?: boolean; query?: () => Promise<unknown> } = {}) {
  const module = await Test.createTestingModule({
    controllers: [HealthController],
    providers: [
      { provide: DataSource, useValue: { query: state.query ?? (async () => [{}]) } },
      { provide: QueueService, useValue: { draining: state.draining ?? false } },
    ],
  }).compile();
  return module.get(HealthController);
}

describe('HealthController', () => {
  it('lives, whatever the database does', async () => {
    const controller = await setup({ query: () => Promise.reject(new Error('down')) });
    expect(controller.health()).toEqual({ status: 'ok' });
  });

  it('is ready when the database answers', async () => {
    expect(await (await setup()).ready()).toEqual({ status: 'ok' });
  });

  it('is not ready while the database is away, or while it shuts down', async () => {
    await expect((await setup({ query: () => Promise.reject(new Error('down')) })).ready()).rejects.toThrow('down');
    await expect((await setup({ draining: true })).ready()).rejects.toMatchObject({ code: 'draining' });
  });
});
