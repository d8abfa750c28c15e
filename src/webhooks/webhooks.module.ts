import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { QueueTask } from '../queue/queue-task.entity.js';
import { TaskCallbacks } from '../workflows/task-callbacks.js';
import { Callbacks } from './callbacks.js';
import { DeliveriesService } from './deliveries.service.js';
import { Deliverer } from './deliverer.js';
import { DeliveryTimes } from './delivery-times.js';
import { DeliveryStore } from './delivery-store.js';
import { Dispatcher } from './dispatcher.js';
import { OutboxStore } from './outbox-store.js';
import { Sender } from './sender.js';
import { webhookEntities } from './webhook.entity.js';
import { WebhookLoop } from './webhook-loop.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksService } from './webhooks.service.js';

/** `imports` has SafeFetch. */
export interface WebhooksModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Serve `/api/webhooks`. */
  readonly controller: boolean;
  /** Take events from the ledger and deliver them. */
  readonly delivers: boolean;
  /** Other times than the usual ones. */
  readonly times?: Partial<DeliveryTimes>;
}

/** Global, since whoever takes submissions takes callbacks. */
@Module({})
export class WebhooksModule {
  static forRoot({ imports = [], controller, delivers, times = {} }: WebhooksModuleOptions): DynamicModule {
    return {
      module: WebhooksModule,
      global: true,
      imports: [TypeOrmModule.forFeature([...webhookEntities, QueueTask]), ...imports],
      controllers: controller ? [WebhooksController] : [],
      providers: [
        { provide: DeliveryTimes, useValue: Object.assign(new DeliveryTimes(), times) },
        Sender,
        Callbacks,
        { provide: TaskCallbacks, useExisting: Callbacks },
        ...(controller ? [WebhooksService, DeliveriesService] : []),
        ...(delivers ? [OutboxStore, DeliveryStore, Dispatcher, Deliverer, WebhookLoop] : []),
      ],
      exports: [TaskCallbacks],
    };
  }
}
