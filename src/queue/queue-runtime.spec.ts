import {
  advance,
  deferred,
  mockSleep,
  queueOptions,
  recordLogs,
  standIn,
  useFakeTime,
  watch,
} from '../../test/support/queue-doubles.js';
import type { EnqueueBatcher } from './enqueue-batcher.js';
import type { Admitter } from './maintenance/admitter.js';
import type { Maintenance } from './maintenance/maintenance.js';
import type { QueueWatch } from './maintenance/queue-watch.js';
import type { Pruner } from './maintenance/pruner.js';
import type { Sealer } from './maintenance/sealer.js';
import type { QueueOptions } from './queue-options.js';
import type { AbortReason } from './task-handler.js';
import type { Claimer } from './workers/claimer.js';
import type { Heartbeat } from './workers/heartbeat.js';
import type { WakeUp, WakeUps } from './workers/wake-ups.js';
import type { WorkerPool } from './workers/worker-pool.js';

mockSleep();
const { QueueRuntime } = await import('./queue-runtime.js');

/** A runtime over parts that note in `trail` what they were told; the pool runs `running` tasks until `ended`. */
function setup({ running = 0, ...options }: QueueOptions & { running?: number } = {}) {
  const trail: string[] = [];
  const ended = deferred();
  if (running === 0) ended.resolve();
  const note = (entry: string) => async (): Promise<void> => void trail.push(entry);
  const heartbeat = {
    instanceId: 'me',
    start: jest.fn<Promise<void>, [unknown]>(note('heartbeat.start')),
    startDraining: note('heartbeat.startDraining'),
    beatNow: note('heartbeat.beatNow'),
    stop: note('heartbeat.stop'),
  };
  const claimer = {
    start: () => void trail.push('claimer.start'),
    wake: () => void trail.push('claimer.wake'),
    stop: jest.fn(note('claimer.stop')),
  };
  const pool = {
    keys: () => new Set(Array.from({ length: running }, (_, index) => `${index}:t`)),
    handBackPrefetched: note('pool.handBackPrefetched'),
    idle: () => ended.promise,
    abortAll: (reason: AbortReason) => void trail.push(`abort ${reason}`),
  };
  let onFreed: () => void = () => undefined;
  const maintenance = {
    start: () => void trail.push('maintenance.start'),
    stop: note('maintenance.stop'),
    onFreed: (listener: typeof onFreed) => void (onFreed = listener),
    lookIn: (ms: number) => void trail.push(`maintenance.lookIn ${ms}`),
  };
  const admitter = {
    onAdmitted: () => undefined,
    admit: (keys: string[]) => void trail.push(`admit ${keys.join()}`),
    idle: note('admitter.idle'),
  };
  const sealer = { start: () => void trail.push('sealer.start'), stop: note('sealer.stop') };
  const pruner = { start: () => void trail.push('pruner.start'), stop: note('pruner.stop') };
  let hear: (wakeUp: WakeUp) => void = () => undefined;
  const wakeUps = {
    onWakeUp: (listener: typeof hear) => void (hear = listener),
    sendReady: () => undefined,
    tryListening: note('wakeUps.tryListening'),
    stop: note('wakeUps.stop'),
  };
  const enqueues = { idle: jest.fn(note('enqueues.idle')) };
  const runtime = new QueueRuntime(
    standIn<Heartbeat>(heartbeat),
    standIn<Claimer>(claimer),
    standIn<WorkerPool>(pool),
    standIn<Maintenance>(maintenance),
    standIn<Admitter>(admitter),
    standIn<Sealer>(sealer),
    standIn<Pruner>(pruner),
    standIn<WakeUps>(wakeUps),
    standIn<EnqueueBatcher>(enqueues),
    standIn<QueueWatch>({ start: note('watch.start'), stop: () => void trail.push('watch.stop') }),
    queueOptions({ shutdownGraceSeconds: 30, ...options }),
  );
  return {
    ...{ runtime, trail, heartbeat, claimer, enqueues, ended },
    hear: (wakeUp: WakeUp) => hear(wakeUp),
    freed: () => onFreed(),
  };
}

const DRAINED = [
  'heartbeat.startDraining',
  'claimer.stop',
  'pool.handBackPrefetched',
  'maintenance.stop',
  'sealer.stop',
  'pruner.stop',
  'heartbeat.stop',
];

describe('QueueRuntime', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  describe('start', () => {
    it('joins before it claims', async () => {
      const { runtime, trail, heartbeat, claimer } = setup({ workers: 7 });
      await runtime.onApplicationBootstrap();
      expect(trail).toEqual(['heartbeat.start', 'claimer.start', 'maintenance.start', 'sealer.start', 'pruner.start']);
      expect(heartbeat.start).toHaveBeenCalledWith(claimer);
      expect(logs).toEqual([
        {
          level: 'log',
          msg: 'Async workflow queue initialized with 7 workers',
          workers: 7,
          worker_id: 'me',
        },
      ]);
      expect(runtime.draining).toBe(false);
    });

    it('fails without claiming when it cannot join', async () => {
      const { runtime, trail, heartbeat } = setup();
      heartbeat.start.mockRejectedValue(new Error('away'));
      await expect(runtime.onApplicationBootstrap()).rejects.toThrow('away');
      expect(trail).toEqual([]);
    });

    it('only watches without workers', async () => {
      const { runtime, trail } = setup({ workers: 0 });
      await runtime.onApplicationBootstrap();
      expect(trail).toEqual(['wakeUps.tryListening', 'watch.start']);
      expect(logs).toEqual([]);
    });
  });

  describe('a wake-up', () => {
    it.each<[WakeUp, string[]]>([
      ['ready', ['claimer.wake']],
      ['cancel:me', ['heartbeat.beatNow']],
      ['due:250', ['maintenance.lookIn 250']],
      ['instance:me', ['heartbeat.beatNow']],
      ['instance:other', []],
      ['cancel:another', []],
      ['cancel:', []],
      ['nonsense' as WakeUp, []],
    ])('%s leads to %j', async (wakeUp, effect) => {
      const { runtime, trail, hear } = setup();
      await runtime.onApplicationBootstrap();
      trail.length = 0;
      hear(wakeUp);
      expect(trail).toEqual(effect);
    });

    it('what the housekeeping has freed leads to a claim', async () => {
      const { runtime, trail, freed } = setup();
      await runtime.onApplicationBootstrap();
      trail.length = 0;
      freed();
      expect(trail).toEqual(['claimer.wake']);
    });

    it('goes by the id that the instance has at the time', async () => {
      const { runtime, trail, heartbeat, hear } = setup();
      await runtime.onApplicationBootstrap();
      trail.length = 0;
      heartbeat.instanceId = 'me-again';
      hear('cancel:me');
      hear('cancel:me-again');
      expect(trail).toEqual(['heartbeat.beatNow']);
    });
  });

  describe('drain', () => {
    it('stops claiming first and leaves last; the heart beats until nothing runs', async () => {
      const { runtime, trail, ended } = setup({ running: 2 });
      const drained = watch(runtime.drain());
      await advance(1_000);
      expect(trail).toEqual(DRAINED.slice(0, 3));
      ended.resolve();
      await advance();
      expect(drained.state).toBe('resolved');
      expect(trail.filter((entry) => !entry.startsWith('abort'))).toEqual(DRAINED);
      expect(logs).toMatchObject([
        { msg: 'Draining: waiting for running tasks', tasks: 2, grace_seconds: 30 },
        { msg: 'Drained', worker_id: 'me' },
      ]);
    });

    it('waits for nobody when nothing runs', async () => {
      const { runtime, trail } = setup();
      await runtime.drain();
      expect(trail).toEqual(DRAINED);
      expect(logs).toEqual([{ level: 'log', msg: 'Drained', worker_id: 'me' }]);
    });

    it('waits for the claim under way before it looks at what runs', async () => {
      const { runtime, trail, claimer } = setup({ running: 1 });
      const claimed = deferred();
      claimer.stop.mockReturnValue(claimed.promise);
      void runtime.drain();
      await advance(60_000);
      expect(trail).toEqual(['heartbeat.startDraining']);
      claimed.resolve();
      await advance();
      expect(logs).toMatchObject([{ tasks: 1 }]);
    });

    it('aborts what runs when the grace time is over, and waits for it to end', async () => {
      const { runtime, trail, ended } = setup({ running: 1, shutdownGraceSeconds: 5 });
      const drained = watch(runtime.drain());
      await advance(4_999);
      expect(trail).not.toContain('abort shutdown');
      await advance(1);
      expect(trail.at(-1)).toBe('abort shutdown');
      await advance(60_000);
      expect(drained.state).toBe('pending');
      ended.resolve();
      await advance();
      expect(trail.slice(3)).toEqual([
        'abort shutdown',
        'maintenance.stop',
        'sealer.stop',
        'pruner.stop',
        'heartbeat.stop',
      ]);
    });

    it('aborts at once with no grace time', async () => {
      const { runtime, trail } = setup({ running: 1, shutdownGraceSeconds: 0 });
      void runtime.drain();
      await advance(1);
      expect(trail.at(-1)).toBe('abort shutdown');
    });

    it('leaves no timer behind that would keep the process', async () => {
      const { runtime, ended } = setup({ running: 1 });
      const drained = watch(runtime.drain());
      await advance();
      ended.resolve();
      await advance();
      expect(drained.state).toBe('resolved');
      expect(jest.getTimerCount()).toBe(0);
    });

    it('can be hurried while it waits, and beforehand', async () => {
      for (const early of [true, false]) {
        const { runtime, trail } = setup({ running: 1 });
        if (early) runtime.drainNow();
        void runtime.drain();
        await advance();
        if (!early) {
          expect(trail).not.toContain('abort shutdown');
          runtime.drainNow();
          await advance();
        }
        expect(trail.at(-1)).toBe('abort shutdown');
      }
    });

    it('happens once: later calls wait for the first', async () => {
      const { runtime, trail, ended } = setup({ running: 1 });
      const drains = [watch(runtime.drain()), watch(runtime.drain()), watch(runtime.onModuleDestroy())];
      await advance();
      expect(drains.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending']);
      ended.resolve();
      await advance();
      expect(drains.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved']);
      await runtime.drain();
      expect(trail.filter((entry) => !entry.startsWith('abort'))).toEqual(DRAINED);
    });

    it('says so from its first moment', () => {
      const { runtime } = setup();
      void runtime.drain();
      expect(runtime.draining).toBe(true);
    });

    it('has nothing to do without workers, but takes nothing new', async () => {
      const { runtime, trail } = setup({ workers: 0 });
      await runtime.drain();
      expect(trail).toEqual([]);
      expect(runtime.draining).toBe(true);
    });
  });

  it('shuts down with the last enqueue stored before the notifications end', async () => {
    const { runtime, trail, enqueues } = setup();
    const stored = deferred();
    enqueues.idle.mockReturnValue(stored.promise);
    const shutdown = watch(runtime.onApplicationShutdown());
    await advance();
    expect(trail).toEqual([]);
    stored.resolve();
    await advance();
    expect(trail).toEqual(['admitter.idle', 'watch.stop', 'wakeUps.stop']);
    expect(shutdown.state).toBe('resolved');
  });
});
