import { Module } from '@nestjs/common';
import { parseNetworks } from '../../src/common/net-addresses.js';
import { SafeFetch } from '../../src/common/safe-fetch.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { Settings } from '../../src/config/settings.js';
import { Callbacks } from '../../src/webhooks/callbacks.js';
import { DeliveriesService } from '../../src/webhooks/deliveries.service.js';
import { WebhooksModule } from '../../src/webhooks/webhooks.module.js';
import { WebhooksService } from '../../src/webhooks/webhooks.service.js';
import type { QueueFixture } from './queue-fixture.js';
import type { InstanceOptions, QueueInstance } from './queue-harness.js';

@Module({
  providers: [{ provide: SafeFetch, useFactory: () => new SafeFetch(parseNetworks('127.0.0.1')) }],
  exports: [SafeFetch],
})
class HttpModule {}

export interface WebhookInstance extends QueueInstance {
  readonly webhooks: WebhooksService;
  readonly deliveries: DeliveriesService;
  readonly callbacks: Callbacks;
}

/** An instance with webhooks; without workers one that only takes them. */
export async function startWebhooks(fixture: QueueFixture, options: InstanceOptions = {}): Promise<WebhookInstance> {
  const imports = [
    ConfigModule.forRoot(Object.assign(new Settings(), { STEP_SANDBOX: 'off' })),
    WebhooksModule.forRoot({ imports: [HttpModule], controller: true, delivers: options.workers !== 0 }),
  ];
  const instance = await fixture.start({ ...options, imports });
  const { module } = instance;
  return Object.assign(instance, {
    webhooks: module.get(WebhooksService),
    deliveries: module.get(DeliveriesService),
    callbacks: module.get(Callbacks),
  });
}

export const ANN = { actor: 'ann', requestId: 'request-1' };
