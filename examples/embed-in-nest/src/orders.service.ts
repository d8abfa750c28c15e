import { Injectable } from '@nestjs/common';
import { QueueService } from 'turnpike';
import { DataSource } from 'typeorm';
import { Order } from './order.entity.js';

export interface Placed {
  readonly orderId: number;
  readonly taskId: string;
}

@Injectable()
export class OrdersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queue: QueueService,
  ) {}

  /**
   * Stores an order and the task that will ship it in one transaction: there is never the one without the other.
   * `charge` stands for whatever can still fail before the commit.
   */
  async place(item: string, charge: () => Promise<void> = async () => undefined): Promise<Placed> {
    return this.dataSource.transaction(async (manager) => {
      const order = await manager.save(Order, { item });
      const { taskId } = await this.queue.enqueue(
        {
          appName: 'shop',
          workflowName: 'ship-order',
          workflowSpec: { orderId: order.id },
          metadata: { user: 'shop' },
          maxAttempts: 3,
        },
        { manager },
      );
      await charge();
      return { orderId: order.id, taskId };
    });
  }
}
