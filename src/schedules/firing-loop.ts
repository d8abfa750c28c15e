import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { QueueService } from '../queue/queue.service.js';
import { FiringsService } from './firings.service.js';
import { ScheduleStore } from './schedule-store.js';

/** What other instances change is seen this much later at most. */
const POLL_MS = 1_000;
/** What is due and could not be fired is in other hands, or must wait for the database. */
const BUSY_MS = 200;

/** Fires schedules when they are due, on one timer. Any number of instances may: each due time is fired by one of them. */
@Injectable()
export class FiringLoop implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Schedules');
  private timer: NodeJS.Timeout | undefined;
  private ticking: Promise<void> | undefined;
  private stopped = true;
  private again = false;
  private failing = false;

  constructor(
    private readonly store: ScheduleStore,
    private readonly firings: FiringsService,
    private readonly queue: QueueService,
  ) {}

  onApplicationBootstrap(): void {
    this.stopped = false;
    this.schedule(0);
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.ticking;
  }

  /** A schedule was changed here: its time may come before the next look. */
  lookAgain(): void {
    if (this.ticking) this.again = true;
    else this.schedule(0);
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.begin(), Math.min(POLL_MS, Math.max(0, Math.ceil(ms))));
    this.timer.unref();
  }

  private begin(): void {
    this.ticking ??= this.tick().then((nextMs) => {
      this.ticking = undefined;
      this.schedule(this.again ? 0 : nextMs);
    });
  }

  /** In how many milliseconds to look again. */
  private async tick(): Promise<number> {
    this.again = false;
    try {
      const { due, nextSeconds } = await this.store.look();
      const unable: unknown[] = [];
      let fired = false;
      for (const id of due) {
        // Whoever drains takes no tasks any more: the others fire.
        if (this.stopped || this.queue.draining) return POLL_MS;
        try {
          fired = (await this.firings.fire(id)) || fired;
        } catch (error) {
          unable.push(error);
        }
      }
      if (unable.length > 0) throw unable[0];
      if (this.failing) this.logger.log('Schedules fire again');
      this.failing = false;
      // The next due time of what has fired is not known yet, and may have passed.
      if (fired) return 0;
      return due.length > 0 ? BUSY_MS : (nextSeconds ?? Infinity) * 1_000;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.failing) this.logger.warn({ msg: 'Schedules cannot fire now', error: reason });
      this.failing = true;
      return BUSY_MS;
    }
  }
}
