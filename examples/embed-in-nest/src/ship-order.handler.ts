import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { TaskHandler, type TaskOutcome, type TaskRun } from 'turnpike';
import { Repository } from 'typeorm';
import { Order } from './order.entity.js';

/** Runs this application's tasks; `workflowName` would tell several kinds apart. */
@Injectable()
export class ShipOrderHandler extends TaskHandler {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {
    super();
  }

  /** A task may run again after a crash, so it does the same the second time. */
  async handle({ task }: TaskRun): Promise<TaskOutcome> {
    const id = Number(task.workflowSpec.orderId);
    const { affected } = await this.orders.update({ id }, { shipped: true });
    if (affected === 1) return { status: 'completed', result: { shipped: id } };
    return { status: 'failed', cause: 'step_failed', errorMessage: `there is no order ${id}`, retryable: false };
  }
}
