import 'reflect-metadata';
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Test } from '@nestjs/testing';
import { QueueService } from 'turnpike';
import { DataSource } from 'typeorm';
import { OrdersService } from './orders.service.js';

/** The service with a queue and a database that only remember what they were asked. */
async function setup() {
  const manager = { save: mock.fn(async () => ({ id: 7, item: 'a kite' })) };
  const queue = { enqueue: mock.fn(async () => ({ taskId: 'task-1' })) };
  const dataSource = { transaction: (work: (given: typeof manager) => unknown) => work(manager) };
  const module = await Test.createTestingModule({
    providers: [
      OrdersService,
      { provide: QueueService, useValue: queue },
      { provide: DataSource, useValue: dataSource },
    ],
  }).compile();
  return { orders: module.get(OrdersService), queue, manager };
}

test('an order is placed with its task, in the same transaction', async () => {
  const { orders, queue, manager } = await setup();
  assert.deepEqual(await orders.place('a kite'), { orderId: 7, taskId: 'task-1' });
  const [task, options] = queue.enqueue.mock.calls[0]!.arguments as unknown[];
  assert.deepEqual((task as { workflowSpec: unknown }).workflowSpec, { orderId: 7 });
  assert.equal((options as { manager: unknown }).manager, manager);
});

test('what fails before the commit fails the order', async () => {
  const { orders } = await setup();
  await assert.rejects(
    orders.place('a boat', () => Promise.reject(new Error('declined'))),
    /declined/,
  );
});
