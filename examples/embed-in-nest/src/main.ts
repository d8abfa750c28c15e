import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { isTerminal, QueueTask } from 'turnpike';
import { DataSource } from 'typeorm';
import { AppModule } from './app.module.js';
import { Order } from './order.entity.js';
import { OrdersService } from './orders.service.js';

if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL must name a PostgreSQL database, e.g. postgres://…/shop');

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
const orders = app.get(OrdersService);
const { manager } = app.get(DataSource);

const { orderId, taskId } = await orders.place('a kite');
console.log(`order ${orderId} is placed, and ${taskId} with it`);

let task = await manager.findOneByOrFail(QueueTask, { taskId });
while (!isTerminal(task.status)) {
  await sleep(50);
  task = await manager.findOneByOrFail(QueueTask, { taskId });
}
const order = await manager.findOneByOrFail(Order, { id: orderId });
console.log(`the task is ${task.status}, the order is ${order.shipped ? 'shipped' : 'not shipped'}`);

try {
  await orders.place('a boat', () => Promise.reject(new Error('the card was declined')));
} catch (error) {
  console.log(`the second order failed: ${(error as Error).message}`);
}
console.log(`orders: ${await manager.count(Order)}, tasks: ${await manager.count(QueueTask)}`);

await app.close();
