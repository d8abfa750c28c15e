import { Injectable } from '@nestjs/common';
import type { TaskStatus } from './task-status.js';
import { Throughput } from './throughput.js';

/** What this process has done since it started. The cluster's numbers are in the database (`QueueService.getStats`). */
export interface MetricsSnapshot {
  readonly enqueued: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly retrying: number;
  /** Runs whose result was thrown away because their lease was lost. */
  readonly lost: number;
  /** Runs returned to the queue by a drain. */
  readonly handedBack: number;
  readonly queueTimeMs: number;
  readonly executionTimeMs: number;
}

type Counter = keyof MetricsSnapshot;

/** Counts committed events only: a number here never speaks of what the database does not know. */
@Injectable()
export class MetricsCollector {
  /** Of the whole cluster. */
  readonly throughput = new Throughput();
  private waiting: number | undefined;
  private readonly counts: Record<Counter, number> = {
    enqueued: 0,
    started: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    retrying: 0,
    lost: 0,
    handedBack: 0,
    queueTimeMs: 0,
    executionTimeMs: 0,
  };

  /**
   * About how many tasks wait, for log lines: what the database said at the last tick, and what this process has added
   * and taken since; undefined until the first.
   */
  get queueSize(): number | undefined {
    return this.waiting;
  }

  observeQueueSize(waiting: number): void {
    this.waiting = waiting;
  }

  /** What a look at the counters found. */
  observe(found: { readonly queue_size: number; readonly completed: number; readonly ended: number }): void {
    this.observeQueueSize(found.queue_size);
    this.throughput.observe(found.completed, found.ended);
  }

  recordEnqueued(tasks: number): void {
    this.counts.enqueued += tasks;
    if (this.waiting !== undefined) this.waiting += tasks;
  }

  recordStarted(queueTimeMs: number): void {
    this.counts.started++;
    if (this.waiting !== undefined) this.waiting = Math.max(0, this.waiting - 1);
    this.counts.queueTimeMs += queueTimeMs;
  }

  recordFinished(status: TaskStatus, executionTimeMs: number): void {
    if (status === 'completed' || status === 'failed' || status === 'cancelled' || status === 'retrying') {
      this.counts[status]++;
    }
    this.counts.executionTimeMs += executionTimeMs;
  }

  recordLost(): void {
    this.counts.lost++;
  }

  recordHandedBack(): void {
    this.counts.handedBack++;
  }

  snapshot(): MetricsSnapshot {
    return { ...this.counts };
  }
}
