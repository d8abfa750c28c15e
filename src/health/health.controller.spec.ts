import { Test } from '@nestjs/testing';
import { QueueService } from '../queue/queue.service.js';
import { HealthController } from './health.controller.js';

async function setup(state: { draining?: boolean; check?: () => Promise<void> } = {}) {
  const module = await Test.createTestingModule({
    controllers: [HealthController],
    providers: [
      {
        provide: QueueService,
        useValue: { draining: state.draining ?? false, check: state.check ?? (async () => undefined) },
      },
    ],
  }).compile();
  return module.get(HealthController);
}

describe('HealthController', () => {
  it('lives, whatever the database does', async () => {
    const controller = await setup({ check: () => Promise.reject(new Error('down')) });
    expect(controller.health()).toEqual({ status: 'ok' });
  });

  it('is ready when the database takes tasks', async () => {
    expect(await (await setup()).ready()).toEqual({ status: 'ok' });
  });

  it('is not ready while the database is away, or while it shuts down', async () => {
    const down = { check: () => Promise.reject(new Error('down')) };
    await expect((await setup(down)).ready()).rejects.toMatchObject({ code: 'database_unavailable', status: 503 });
    await expect((await setup({ draining: true })).ready()).rejects.toMatchObject({ code: 'draining' });
  });
});
