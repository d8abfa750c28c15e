import { Inject, Injectable } from '@nestjs/common';
import { MetricsCollector } from '../metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { look, type Look } from '../store/look.sql.js';
import { QueueDatabase } from '../store/queue-database.js';

/**
 * Tells an instance without workers how much waits and how fast tasks end, every poll interval; with workers the
 * housekeeping does.
 */
@Injectable()
export class QueueWatch {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly database: QueueDatabase,
    private readonly metrics: MetricsCollector,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /** Resolves when the first look is done. */
  async start(): Promise<void> {
    try {
      this.metrics.observe((await this.database.run<Look>(look, []))[0]!);
    } catch {
      // The database is away: whoever enqueues hears of it, and what was known stays known.
    }
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.start(), this.options.pollSeconds * 1_000);
    this.timer.unref();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}
