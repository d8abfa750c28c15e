import {
  advance,
  deferred,
  queueOptions,
  recordLogs,
  standIn,
  useFakeTime,
  watch,
} from '../../../test/support/queue-doubles.js';
import { MetricsCollector } from '../metrics-collector.js';
import type { Look } from '../store/look.sql.js';
import type { IdempotencyStore } from '../store/idempotency-store.js';
import type { QueueDatabase, Statement } from '../store/queue-database.js';
import type { Heartbeat } from '../workers/heartbeat.js';
import type { WakeUps } from '../workers/wake-ups.js';
import type { Admitter } from './admitter.js';
import { Maintenance } from './maintenance.js';
import type { Pauses } from './pauses.js';
import type { Promoter } from './promoter.js';
import type { Rescuer } from './rescuer.js';
import type { Sweep } from './sweep.js';

const IDLE: Look = {
  expired: false,
  next_due_seconds: null,
  many_counters: false,
  queue_size: 0,
  paused: false,
  blocked: false,
  completed: 0,
  ended: 0,
};
const POLL = 1_000;
const DAY = 86_400_000;

/** Housekeeping whose chores note in `trail` that they were done; the look finds what the test puts in `found`. */
function setup() {
  const trail: string[] = [];
  const found = { ...IDLE } as { -readonly [K in keyof Look]: Look[K] };
  const answers: Record<string, () => Promise<unknown[]>> = { look: async () => [{ ...found }] };
  const database = {
    run: async (statement: Statement) => {
      const name = statement.name.replace('queue_', '');
      trail.push(name);
      return (await answers[name]?.()) ?? [];
    },
  };
  const chore = (name: string) =>
    jest.fn<Promise<number>, [string]>(async () => {
      trail.push(name);
      return 0;
    });
  const promote = chore('promote');
  const rescue = chore('rescue');
  const sweep = chore('sweep');
  const settle = chore('settle');
  const admitAll = chore('admit');
  const forget = jest.fn(async () => undefined);
  const removeExpired = jest.fn<Promise<number>, [number]>(async () => 0);
  const wakeUps = { ensureListening: async () => void trail.push('listen'), sendReady: jest.fn() };
  const heartbeat = { instanceId: 'me' };
  const metrics = new MetricsCollector();
  const maintenance = new Maintenance(
    standIn<QueueDatabase>(database),
    standIn<Promoter>({ promote }),
    standIn<Rescuer>({ rescue }),
    standIn<Sweep>({ sweep }),
    standIn<Pauses>({ settle: () => settle('') }),
    standIn<Admitter>({ admitAll: async () => void (await admitAll('')), forget }),
    standIn<Heartbeat>(heartbeat),
    standIn<WakeUps>(wakeUps),
    metrics,
    standIn<IdempotencyStore>({ removeExpired }),
    queueOptions({ pollSeconds: 1 }),
  );
  const count = (name: string) => trail.filter((entry) => entry === name).length;
  return {
    maintenance,
    trail,
    found,
    answers,
    promote,
    rescue,
    sweep,
    settle,
    admitAll,
    forget,
    removeExpired,
    wakeUps,
    metrics,
    count,
  };
}

/** The first tick is over, the sweep and the partitions rest. */
async function started() {
  const world = setup();
  void world.maintenance.start();
  await advance();
  const first = [...world.trail];
  world.trail.length = 0;
  return { ...world, first };
}

describe('Maintenance', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  describe('a tick', () => {
    it('comes at once with the start, and then by the poll interval', async () => {
      const { first, trail } = await started();
      expect(first).toEqual(['listen', 'look', 'sweep', 'ensure_partitions']);
      await advance(POLL - 1);
      expect(trail).toEqual([]);
      await advance(1);
      expect(trail).toEqual(['listen', 'look', 'sweep']);
    });

    it('does what the look asks for, in order: rescue, promote, sweep, fold', async () => {
      const { maintenance, found, trail, promote, rescue, sweep } = setup();
      Object.assign(found, { expired: true, next_due_seconds: -1, many_counters: true });
      void maintenance.start();
      await advance();
      expect(trail).toEqual(['listen', 'look', 'rescue', 'promote', 'sweep', 'fold_counters', 'ensure_partitions']);
      expect([rescue, promote, sweep].map((chore) => chore.mock.calls)).toEqual([
        [['rescuer:me']],
        [['promoter:me']],
        [['sweep:me']],
      ]);
    });

    it('settles pauses and admits keys where something is paused or blocked, before the sweep', async () => {
      const { maintenance, found, trail } = setup();
      Object.assign(found, { paused: true, blocked: true });
      void maintenance.start();
      await advance();
      expect(trail).toEqual(['listen', 'look', 'settle', 'admit', 'sweep', 'ensure_partitions']);
    });

    it('forgets unused keys once an hour', async () => {
      const { maintenance, forget } = setup();
      void maintenance.start();
      await advance(5 * POLL);
      expect(forget).toHaveBeenCalledTimes(1);
    });

    it('does one chore after the other', async () => {
      const { maintenance, found, rescue, trail } = setup();
      found.expired = true;
      const rescued = deferred<number>();
      rescue.mockReturnValueOnce(rescued.promise);
      void maintenance.start();
      await advance(10_000);
      expect(trail).toEqual(['listen', 'look']);
      rescued.resolve(0);
      await advance();
      expect(trail).toContain('sweep');
    });

    it('tells how many tasks wait', async () => {
      const { maintenance, found, metrics } = setup();
      found.queue_size = 12;
      void maintenance.start();
      await advance();
      expect(metrics.queueSize).toBe(12);
    });

    it.each([
      ['rescued', 'rescue'],
      ['promoted', 'promote'],
      ['repaired', 'sweep'],
    ] as const)('wakes the workers when something was %s', async (_, chore) => {
      const world = setup();
      Object.assign(world.found, { expired: true, next_due_seconds: 0 });
      world[chore].mockResolvedValueOnce(2);
      void world.maintenance.start();
      await advance();
      expect(world.wakeUps.sendReady.mock.calls).toEqual([[]]);
    });

    it('wakes nobody for nothing', async () => {
      const { maintenance, found, wakeUps } = setup();
      Object.assign(found, { expired: true, next_due_seconds: 0 });
      void maintenance.start();
      await advance();
      expect(wakeUps.sendReady).not.toHaveBeenCalled();
    });

    it('makes new partitions once a day, and again soon where that failed', async () => {
      const { maintenance, answers, count } = setup();
      answers.ensure_partitions = () => Promise.reject(new Error('locked'));
      void maintenance.start();
      await advance(POLL);
      expect(count('ensure_partitions')).toBe(2);
      delete answers.ensure_partitions;
      await advance(POLL);
      expect(count('ensure_partitions')).toBe(3);
      await advance(10 * POLL);
      expect(count('ensure_partitions')).toBe(3);
      jest.spyOn(performance, 'now').mockReturnValue(performance.now() + DAY);
      await advance(POLL);
      expect(count('ensure_partitions')).toBe(4);
    });
  });

  describe('the next tick', () => {
    it('comes earlier when a task is due before it', async () => {
      const { maintenance, found, count } = setup();
      found.next_due_seconds = 0.25;
      void maintenance.start();
      await advance(249);
      expect(count('look')).toBe(1);
      await advance(1);
      expect(count('look')).toBe(2);
      expect(count('promote')).toBe(0);
    });

    it('comes no later than the poll interval', async () => {
      const { maintenance, found, count } = setup();
      found.next_due_seconds = 3_600;
      void maintenance.start();
      await advance(POLL);
      expect(count('look')).toBe(2);
    });

    it('follows at once on tasks that were promoted: more may be due', async () => {
      const { maintenance, found, promote, count } = setup();
      found.next_due_seconds = -5;
      promote.mockImplementationOnce(async () => {
        found.next_due_seconds = null;
        return 1_000;
      });
      void maintenance.start();
      await advance(1);
      expect(count('look')).toBe(2);
      await advance(POLL - 10);
      expect(count('look')).toBe(2);
    });

    it('does not spin on due tasks that are in other hands', async () => {
      const { maintenance, found, count } = setup();
      found.next_due_seconds = -5;
      void maintenance.start();
      await advance(199);
      expect(count('look')).toBe(1);
      await advance(1);
      expect(count('look')).toBe(2);
    });

    it('comes at once when a task was scheduled', async () => {
      const { maintenance, count } = await started();
      await advance(400);
      maintenance.lookAgain();
      await advance();
      expect(count('look')).toBe(1);
      await advance(POLL);
      expect(count('look')).toBe(2);
    });

    it('comes at once too when the task was scheduled during the last, which may have looked before', async () => {
      const { maintenance, sweep, count } = setup();
      const swept = deferred<number>();
      sweep.mockReturnValueOnce(swept.promise);
      void maintenance.start();
      await advance();
      expect(count('look')).toBe(1);
      maintenance.lookAgain();
      maintenance.lookAgain();
      swept.resolve(0);
      await advance(1);
      expect(count('look')).toBe(2);
      await advance(POLL - 10);
      expect(count('look')).toBe(2);
    });

    it('is one at a time, however often somebody asks', async () => {
      const { maintenance, answers, count } = await started();
      const looked = deferred<unknown[]>();
      answers.look = () => looked.promise;
      for (let n = 0; n < 5; n++) {
        maintenance.lookAgain();
        await advance(1);
      }
      expect(count('look')).toBe(1);
    });
  });

  describe('a failing chore', () => {
    it('keeps no other from being done', async () => {
      const { maintenance, found, rescue, promote, sweep, answers, trail } = setup();
      Object.assign(found, { expired: true, next_due_seconds: 0, many_counters: true });
      for (const chore of [rescue, promote, sweep]) chore.mockRejectedValue(new Error('no'));
      answers.fold_counters = () => Promise.reject(new Error('no'));
      void maintenance.start();
      await advance();
      expect(trail).toEqual(['listen', 'look', 'fold_counters', 'ensure_partitions']);
      expect([rescue, promote, sweep].map((chore) => chore.mock.calls.length)).toEqual([1, 1, 1]);
      await advance(POLL);
      expect(rescue.mock.calls.length).toBeGreaterThan(1);
    });

    it('is logged when it begins to fail and when it works again', async () => {
      const { answers, count } = await started();
      const works = answers.look!;
      answers.look = () => Promise.reject(new Error('away'));
      await advance(5 * POLL);
      expect(count('look')).toBe(5);
      expect(logs).toEqual([{ level: 'warn', msg: 'Maintenance failed', chore: 'look', error: 'away' }]);
      answers.look = works;
      await advance(3 * POLL);
      expect(logs.slice(1)).toEqual([{ level: 'log', msg: 'Maintenance works again', chore: 'look' }]);
      answers.look = () => Promise.reject(new Error('away'));
      await advance(POLL);
      expect(logs).toHaveLength(3);
    });

    it('does not count the queue as empty while nobody can look', async () => {
      const { found, answers, metrics } = await started();
      found.queue_size = 9;
      await advance(POLL);
      answers.look = () => Promise.reject(new Error('away'));
      await advance(POLL);
      expect(metrics.queueSize).toBe(9);
    });
  });

  describe('the sweep', () => {
    it('rests half the poll interval at least, however often somebody wants a tick', async () => {
      const { maintenance, count } = await started();
      for (let n = 0; n < 4; n++) {
        await advance(100);
        maintenance.lookAgain();
      }
      await advance();
      expect(count('look')).toBe(4);
      expect(count('sweep')).toBe(0);
      await advance(100);
      maintenance.lookAgain();
      await advance();
      expect(count('sweep')).toBe(1);
    });

    it.each([
      ['took', 0],
      ['took before it failed', new Error('no')],
    ])('rests twenty times as long as it %s', async (_, end) => {
      const { maintenance, sweep } = setup();
      const swept = deferred<number>();
      sweep.mockReturnValueOnce(swept.promise);
      void maintenance.start();
      await advance(300);
      if (end instanceof Error) swept.reject(end);
      else swept.resolve(end);
      await advance();
      await advance(5_999);
      expect(sweep).toHaveBeenCalledTimes(1);
      await advance(POLL);
      expect(sweep).toHaveBeenCalledTimes(2);
    });
  });

  it('takes no time for work that was spent waiting for a connection in vain', async () => {
    const { maintenance, sweep } = setup();
    const swept = deferred<number>();
    sweep.mockReturnValueOnce(swept.promise);
    void maintenance.start();
    await advance(5_000);
    swept.reject(new Error('timeout exceeded when trying to connect'));
    await advance();
    await advance(POLL);
    expect(sweep).toHaveBeenCalledTimes(2);
  });

  describe('stop', () => {
    it('waits for the tick under way, and lets none begin after it', async () => {
      const { maintenance, answers, trail } = await started();
      const looked = deferred<unknown[]>();
      answers.look = () => looked.promise;
      await advance(POLL);
      const stopped = watch(maintenance.stop());
      await advance();
      expect(stopped.state).toBe('pending');
      maintenance.lookAgain();
      looked.resolve([IDLE]);
      await advance();
      expect(stopped.state).toBe('resolved');
      trail.length = 0;
      maintenance.lookAgain();
      await advance(10 * POLL);
      expect(trail).toEqual([]);
    });

    it('has nothing to wait for between two ticks', async () => {
      const { maintenance, trail } = await started();
      await maintenance.stop();
      await advance(10 * POLL);
      expect(trail).toEqual([]);
    });
  });

  it('looks for nobody before it is started', async () => {
    const { maintenance, trail } = setup();
    maintenance.lookAgain();
    await advance(10 * POLL);
    expect(trail).toEqual([]);
  });

  it('removes expired keys once a minute, and a batch a tick while there are more', async () => {
    const { removeExpired } = await started();
    expect(removeExpired).toHaveBeenCalledTimes(1);
    removeExpired.mockResolvedValueOnce(5_000);
    await advance(60_000);
    expect(removeExpired).toHaveBeenCalledTimes(2);
    await advance(POLL);
    expect(removeExpired).toHaveBeenCalledTimes(3);
    await advance(POLL);
    expect(removeExpired).toHaveBeenCalledTimes(3);
  });

  describe('the time of a task that another instance has stored', () => {
    it('ends the sleep where it comes before the next tick, and else does not', async () => {
      const { maintenance, count } = await started();
      maintenance.lookIn(2_000);
      maintenance.lookIn(400);
      await advance(399);
      expect(count('look')).toBe(0);
      await advance(1);
      expect(count('look')).toBe(1);
      await advance(POLL - 1);
      expect(count('look')).toBe(1);
    });

    it('counts when word of it comes in the middle of a tick', async () => {
      const { maintenance, answers, count } = await started();
      const looked = deferred<unknown[]>();
      answers.look = () => looked.promise;
      await advance(POLL);
      maintenance.lookIn(300);
      looked.resolve([{ ...IDLE }]);
      answers.look = async () => [{ ...IDLE }];
      await advance(299);
      expect(count('look')).toBe(1);
      await advance(2);
      expect(count('look')).toBe(2);
    });
  });

  it('wakes the workers of its own process when tasks have become free', async () => {
    const { maintenance, found, promote, wakeUps } = setup();
    const freed = jest.fn();
    maintenance.onFreed(freed);
    void maintenance.start();
    await advance();
    expect(freed).not.toHaveBeenCalled();
    found.next_due_seconds = -1;
    promote.mockResolvedValueOnce(2);
    await advance(POLL);
    expect(freed).toHaveBeenCalledTimes(1);
    expect(wakeUps.sendReady).toHaveBeenCalledTimes(1);
  });
});
