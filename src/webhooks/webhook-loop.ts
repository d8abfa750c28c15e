import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Deliverer } from './deliverer.js';
import { DeliveryTimes } from './delivery-times.js';
import { Dispatcher } from './dispatcher.js';
import { OutboxStore } from './outbox-store.js';

/**
 * Makes deliveries of the ledger and has them delivered, on one timer. While there is no webhook and no callback it asks no
 * more than whether there is one.
 */
@Injectable()
export class WebhookLoop implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Webhooks');
  private timer: NodeJS.Timeout | undefined;
  private ticking: Promise<void> | undefined;
  private stopped = true;
  private failing = false;
  private wanted = false;
  private lookAt = 0;
  private pruneAt: number;

  constructor(
    private readonly outbox: OutboxStore,
    private readonly dispatcher: Dispatcher,
    private readonly deliverer: Deliverer,
    private readonly times: DeliveryTimes,
  ) {
    this.pruneAt = performance.now() + times.pruneMs;
  }

  onApplicationBootstrap(): void {
    this.stopped = false;
    this.schedule(0);
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.ticking;
    await this.deliverer.stop();
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.ticking = this.tick().then((nextMs) => this.schedule(nextMs));
    }, ms);
    this.timer.unref();
  }

  /** In how many milliseconds to do it again. */
  private async tick(): Promise<number> {
    try {
      const now = performance.now();
      if (now >= this.lookAt) {
        await this.look();
        this.lookAt = now + this.times.lookMs;
      }
      if (now >= this.pruneAt)
        this.pruneAt = now + ((await this.outbox.prune()) ? this.times.lookMs : this.times.pruneMs);
      const more = this.wanted && (await this.dispatch());
      if (this.failing) this.logger.log('Events are taken for webhooks again');
      this.failing = false;
      if (more) return 0;
      return this.wanted ? this.times.followMs : this.times.lookMs;
    } catch (error) {
      if (!this.failing) this.logger.warn({ msg: 'Events cannot be taken for webhooks now', error: String(error) });
      this.failing = true;
      return this.times.lookMs;
    }
  }

  private async look(): Promise<void> {
    const { wanted, following } = await this.outbox.look();
    this.wanted = wanted;
    if (wanted) this.deliverer.stir();
    else if (following) await this.dispatcher.rest();
  }

  /** True where there is more to read. */
  private async dispatch(): Promise<boolean> {
    const { deliveries, more } = (await this.dispatcher.dispatch()) ?? { deliveries: 0, more: false };
    if (deliveries > 0) this.deliverer.stir();
    return more;
  }
}
