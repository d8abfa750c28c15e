import { advance, databaseAway, queueOptions, standIn, useFakeTime } from '../../../test/support/queue-doubles.js';
import { MetricsCollector } from '../metrics-collector.js';
import type { QueueDatabase } from '../store/queue-database.js';
import { QueueWatch } from './queue-watch.js';

describe('QueueWatch', () => {
  beforeEach(useFakeTime);
  afterEach(() => jest.useRealTimers());

  it('looks at once and every poll interval, whatever becomes of a look, until it is stopped', async () => {
    let size = 3;
    const run = jest.fn(async () => [{ queue_size: size++, completed: 0, ended: 0 }]);
    const metrics = new MetricsCollector();
    const watch = new QueueWatch(standIn<QueueDatabase>({ run }), metrics, queueOptions({ pollSeconds: 1 }));
    await watch.start();
    expect(metrics.queueSize).toBe(3);
    run.mockRejectedValueOnce(databaseAway());
    await advance(1_000);
    expect(metrics.queueSize).toBe(3);
    await advance(1_000);
    expect(metrics.queueSize).toBe(4);
    watch.stop();
    await advance(5_000);
    expect(run).toHaveBeenCalledTimes(3);
  });
});
