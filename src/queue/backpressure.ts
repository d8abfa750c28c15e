import { Inject, Injectable } from '@nestjs/common';
import { AppLoad } from './app-load.js';
import { EnqueueBatcher } from './enqueue-batcher.js';
import { MetricsCollector } from './metrics-collector.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from './queue-options.js';

const MIN_RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 300;
/** Where nobody knows yet how fast tasks end. */
const UNKNOWN_RETRY_SECONDS = 30;

/** As many tasks wait as the queue's capacity allows. Nothing was stored. */
export class QueueFullError extends Error {
  constructor(
    readonly capacity: number,
    /** When there is probably room, at the rate of the last minutes. */
    readonly retryAfterSeconds: number,
  ) {
    super(`the queue is full: ${capacity} tasks may wait, and there is no room for more`);
    this.name = 'QueueFullError';
  }
}

/** As many tasks of this application wait as one application may have waiting. Nothing was stored. */
export class AppQueueFullError extends Error {
  constructor(
    readonly appName: string,
    readonly limit: number,
    readonly retryAfterSeconds: number,
  ) {
    super(`'${appName}' has as many tasks waiting as one application may have: ${limit}`);
    this.name = 'AppQueueFullError';
  }
}

/**
 * Says whether there is room for new tasks. A soft limit, so that nothing is locked or counted on a task's way: it goes by
 * what the last look at the counters said (a poll interval old at most) and by what this process has taken since.
 */
@Injectable()
export class Backpressure {
  constructor(
    private readonly metrics: MetricsCollector,
    private readonly enqueues: EnqueueBatcher,
    private readonly appLoad: AppLoad,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /** Why these tasks cannot be taken now; undefined where there is room for all of them. */
  async refusal(tasks: readonly { readonly appName: string }[]): Promise<Error | undefined> {
    const { capacity, maxPendingPerApp } = this.options;
    const known = this.metrics.queueSize;
    if (known === undefined) return undefined;
    const waiting = known + this.enqueues.size + tasks.length;
    if (waiting > capacity) return new QueueFullError(capacity, this.secondsFor(waiting - capacity));
    if (maxPendingPerApp === 0) return undefined;
    const wanted = new Map<string, number>();
    for (const { appName } of tasks) wanted.set(appName, (wanted.get(appName) ?? 0) + 1);
    for (const [app, count] of wanted) {
      // No application has more tasks waiting than all have together.
      const pending = waiting > maxPendingPerApp ? (await this.appLoad.of(app)) + count : 0;
      if (pending <= maxPendingPerApp) continue;
      const share = Math.min(1, pending / waiting);
      return new AppQueueFullError(app, maxPendingPerApp, this.secondsFor((pending - maxPendingPerApp) / share));
    }
    for (const [app, count] of wanted) this.appLoad.add(app, count);
    return undefined;
  }

  /** How long it takes until so many more tasks have ended. */
  private secondsFor(tasks: number): number {
    const perSecond = this.metrics.throughput.endedPerSecond;
    if (perSecond === null) return UNKNOWN_RETRY_SECONDS;
    return Math.min(MAX_RETRY_SECONDS, Math.max(MIN_RETRY_SECONDS, Math.ceil(tasks / perSecond)));
  }
}
