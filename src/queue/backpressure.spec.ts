import { queueOptions, standIn } from '../../test/support/queue-doubles.js';
import type { AppLoad } from './app-load.js';
import { Backpressure } from './backpressure.js';
import type { EnqueueBatcher } from './enqueue-batcher.js';
import { MetricsCollector } from './metrics-collector.js';
import type { QueueOptions } from './queue-options.js';

/** A queue in which `waiting` tasks wait, of which as many an application as `load` says; `perSecond` of them end. */
function setup(
  {
    waiting,
    perSecond,
    storing = 0,
    load = {},
  }: {
    waiting?: number;
    perSecond?: number;
    storing?: number;
    load?: Record<string, number>;
  },
  options: QueueOptions,
) {
  const metrics = new MetricsCollector();
  if (waiting !== undefined) metrics.observeQueueSize(waiting);
  if (perSecond !== undefined) [0, 1].forEach((s) => metrics.throughput.observe(0, perSecond * s, s * 1_000));
  const appLoad = { of: jest.fn(async (app: string) => load[app] ?? 0), add: jest.fn() };
  const backpressure = new Backpressure(
    metrics,
    standIn<EnqueueBatcher>({ size: storing }),
    standIn<AppLoad>(appLoad),
    queueOptions(options),
  );
  return { appLoad, refusal: (...apps: string[]) => backpressure.refusal(apps.map((appName) => ({ appName }))) };
}

describe('Backpressure', () => {
  it('has room until the capacity is reached, what is being stored included', async () => {
    expect(await setup({ waiting: 9 }, { capacity: 10 }).refusal('a')).toBeUndefined();
    expect(await setup({ waiting: 9 }, { capacity: 10 }).refusal('a', 'a')).toMatchObject({ name: 'QueueFullError' });
    expect(await setup({ waiting: 5, storing: 5 }, { capacity: 10 }).refusal('a')).toMatchObject({ capacity: 10 });
    expect(await setup({ waiting: 1e9 }, { capacity: Infinity }).refusal('a')).toBeUndefined();
  });

  it('refuses nothing while it does not know how much waits', async () => {
    expect(await setup({}, { capacity: 1 }).refusal('a', 'b')).toBeUndefined();
  });

  it.each([
    ['at the rate of the last minutes', { waiting: 110, perSecond: 2 }, 6],
    ['a second at least', { waiting: 100, perSecond: 500 }, 1],
    ['five minutes at most', { waiting: 100_000, perSecond: 1 }, 300],
    ['five minutes where nothing ends', { waiting: 100, perSecond: 0 }, 300],
    ['half a minute where nobody knows', { waiting: 100 }, 30],
  ])('says when there is room: %s', async (_, queue, seconds) => {
    expect(await setup(queue, { capacity: 100 }).refusal('a')).toMatchObject({ retryAfterSeconds: seconds });
  });

  it('asks for no application while there is no limit, or while all together are below it', async () => {
    for (const options of [{}, { maxPendingPerApp: 100 }]) {
      const { refusal, appLoad } = setup({ waiting: 50 }, options);
      expect(await refusal('a')).toBeUndefined();
      expect(appLoad.of).not.toHaveBeenCalled();
    }
  });

  it('refuses an application beyond its limit; it comes again when its share of what ends has made room', async () => {
    const { refusal, appLoad } = setup(
      { waiting: 19, perSecond: 1, load: { busy: 10, idle: 2 } },
      { maxPendingPerApp: 10 },
    );
    // 11 of 20 tasks are its own: one of them ends in not quite two seconds.
    expect(await refusal('busy')).toMatchObject({ appName: 'busy', limit: 10, retryAfterSeconds: 2 });
    expect(await refusal('idle', 'busy')).toMatchObject({ name: 'AppQueueFullError' });
    expect(appLoad.add).not.toHaveBeenCalled();
    expect(await refusal('idle', 'idle')).toBeUndefined();
    expect(appLoad.add.mock.calls).toEqual([['idle', 2]]);
  });
});
