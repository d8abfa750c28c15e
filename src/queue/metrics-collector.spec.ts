import { MetricsCollector } from './metrics-collector.js';
import { TASK_STATUSES } from './task-status.js';

const NOTHING = {
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

describe('MetricsCollector', () => {
  it('begins with nothing', () => {
    expect(new MetricsCollector().snapshot()).toEqual(NOTHING);
    expect(new MetricsCollector().queueSize).toBeUndefined();
  });

  it('counts what happens, and adds up the times', () => {
    const metrics = new MetricsCollector();
    metrics.recordEnqueued(3);
    metrics.recordStarted(10);
    metrics.recordStarted(5);
    metrics.recordFinished('completed', 100);
    metrics.recordFinished('retrying', 50);
    metrics.recordLost();
    metrics.recordHandedBack();
    metrics.recordHandedBack();
    expect(metrics.snapshot()).toEqual({
      ...NOTHING,
      enqueued: 3,
      started: 2,
      completed: 1,
      retrying: 1,
      lost: 1,
      handedBack: 2,
      queueTimeMs: 15,
      executionTimeMs: 150,
    });
  });

  it.each(TASK_STATUSES)('counts a run that ended as %s once at most, under that name', (status) => {
    const metrics = new MetricsCollector();
    metrics.recordFinished(status, 0);
    const counted = ['completed', 'failed', 'cancelled', 'retrying'].includes(status);
    expect(metrics.snapshot()).toEqual(counted ? { ...NOTHING, [status]: 1 } : NOTHING);
  });

  it('knows about how many tasks wait: the last count of the database, and what this process did since', () => {
    const metrics = new MetricsCollector();
    metrics.recordEnqueued(2);
    metrics.observeQueueSize(40);
    metrics.recordEnqueued(3);
    metrics.recordStarted(0);
    expect(metrics.queueSize).toBe(42);
  });

  it('never speaks of fewer than no tasks', () => {
    const metrics = new MetricsCollector();
    metrics.recordEnqueued(1);
    metrics.recordStarted(0);
    // Nothing has been heard of the whole queue yet.
    expect(metrics.queueSize).toBeUndefined();
    metrics.observeQueueSize(0);
    metrics.recordStarted(0);
    expect(metrics.queueSize).toBe(0);
    metrics.recordEnqueued(1);
    expect(metrics.queueSize).toBe(1);
  });

  it('gives snapshots that stay as they were', () => {
    const metrics = new MetricsCollector();
    const before = metrics.snapshot();
    metrics.recordEnqueued(1);
    expect(before.enqueued).toBe(0);
  });
});
