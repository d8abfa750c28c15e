import { Test } from '@nestjs/testing';
import { QueueController } from './queue.controller.js';
import { QueueService } from './queue.service.js';

async function setup() {
  const queue = {
    getStats: jest.fn(async () => ({ queue_size: 3, active_tasks: 1 })),
    getActiveTasks: jest.fn(async () => ({ count: 1, tasks: [{ id: 'task-1' }] })),
  };
  const module = await Test.createTestingModule({
    controllers: [QueueController],
    providers: [{ provide: QueueService, useValue: queue }],
  }).compile();
  return { controller: module.get(QueueController), queue };
}

describe('QueueController', () => {
  it('answers with the numbers of the queue as they are', async () => {
    const { controller } = await setup();
    expect(await controller.stats()).toEqual({ queue_size: 3, active_tasks: 1 });
  });

  it('answers with what runs', async () => {
    const { controller, queue } = await setup();
    expect(await controller.activeTasks(['sh*'])).toEqual({ count: 1, tasks: [{ id: 'task-1' }] });
    expect(queue.getActiveTasks).toHaveBeenCalledWith(['sh*']);
  });

  it('leaves errors to the filter', async () => {
    const { controller, queue } = await setup();
    queue.getStats.mockRejectedValue(new Error('away'));
    await expect(controller.stats()).rejects.toThrow('away');
  });
});
