import { Module } from '@nestjs/common';
import { parseNetworks } from '../../src/common/net-addresses.js';
import { SafeFetch } from '../../src/common/safe-fetch.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { Settings } from '../../src/config/settings.js';
import { Callbacks } from '../../src/webhooks/callbacks.js';
import { DeliveryTimes } from '../../src/webhooks/delivery-times.js';
import { DeliveriesService } from '../../src/webhooks/deliveries.service.js';
import { WebhooksModule } from '../../src/webhooks/webhooks.module.js';
import { WebhooksService } from '../../src/webhooks/webhooks.service.js';
import type { QueueFixture } from './queue-fixture.js';
import type { InstanceOptions, QueueInstance } from './queue-harness.js';

@Module({
  // Every name is this machine.
  providers: [
    {
      provide: SafeFetch,
      useFactory: () => new SafeFetch(parseNetworks('127.0.0.1'), async () => [{ address: '127.0.0.1', family: 4 }]),
    },
  ],
  exports: [SafeFetch],
})
class HttpModule {}

/** Nothing waits for a timer for long, and a receiver that hangs is found out soon. */
const TIMES = { followMs: 20, lookMs: 50, graceMs: 50 };

export type WebhookOptions = InstanceOptions & { readonly times?: Partial<DeliveryTimes> };

export interface WebhookInstance extends QueueInstance {
  readonly webhooks: WebhooksService;
  readonly deliveries: DeliveriesService;
  readonly callbacks: Callbacks;
}

/** An instance with webhooks; without workers one that only takes them. */
export async function startWebhooks(
  fixture: QueueFixture,
  { times = {}, ...options }: WebhookOptions = {},
): Promise<WebhookInstance> {
  const imports = [
    ConfigModule.forRoot(Object.assign(new Settings(), { STEP_SANDBOX: 'off' })),
    WebhooksModule.forRoot({
      imports: [HttpModule],
      controller: true,
      delivers: options.workers !== 0,
      times: { ...TIMES, ...times },
    }),
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
