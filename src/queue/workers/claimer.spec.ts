import {
  aClaimedTask,
  advance,
  databaseAway,
  deferred,
  queueOptions,
  recordLogs,
  sqlError,
  standIn,
  useFakeTime,
  watch,
  type Deferred,
} from '../../../test/support/queue-doubles.js';
import type { TaskStore } from '../store/task-store.js';
import type { Company, Offer } from '../store/task-changes.js';
import type { AbortReason, ClaimedTask } from '../task-handler.js';
import { Claimer } from './claimer.js';
import type { Heartbeat, HeldLease } from './heartbeat.js';
import { runKey } from './run.js';
import type { WorkerPool } from './worker-pool.js';

interface Claim {
  readonly limit: number;
  readonly instance: string;
  readonly token: string;
  readonly floor: number;
  readonly company: Company | undefined;
  readonly answer: Deferred<ClaimedTask[]>;
}

/** A claimer whose claims are answered when the test says so, over a pool of that many workers. */
function setup({ workers = 5, prefetch = 0 }: { workers?: number; prefetch?: number } = {}) {
  const runs = new Set<string>();
  const aborted: [key: string, reason: AbortReason][] = [];
  let onFree: () => void = () => undefined;
  const pool = {
    get room() {
      return workers + prefetch - runs.size;
    },
    get isIdle() {
      return runs.size === 0;
    },
    get idleWorkers() {
      return workers - runs.size;
    },
    start: jest.fn((task: ClaimedTask) => void runs.add(runKey(task.id, task.leaseToken))),
    take: jest.fn((tasks: ClaimedTask[]) => tasks.forEach((task) => runs.add(runKey(task.id, task.leaseToken)))),
    keys: () => new Set(runs),
    has: (id: string, token: string) => runs.has(runKey(id, token)),
    abort: (key: string, reason: AbortReason) => void (runs.has(key) && aborted.push([key, reason])),
    abortAll: jest.fn<void, [AbortReason]>(),
    resize: jest.fn<void, [number]>(),
    handBackPrefetched: jest.fn(async () => undefined),
    handBack: jest.fn<Promise<void>, [ClaimedTask[]]>(async () => undefined),
    onWorkerFree: (callback: () => void) => void (onFree = callback),
  };
  const claims: Claim[] = [];
  const claim = (limit: number, instance: string, token: string, floor: number, company?: Company) => {
    const answer = deferred<ClaimedTask[]>();
    claims.push({ limit, instance, token, floor, company, answer });
    return answer.promise;
  };
  const store = {
    claim: jest.fn(claim),
    prefetch: jest.fn(claim),
    claimedBy: jest.fn<Promise<ClaimedTask[]>, [string, Company?]>(async () => []),
    handBackUnlocked: jest.fn<Promise<unknown[]>, unknown[]>(async () => []),
  };
  const heartbeat = { instanceId: 'me', alive: true };
  const claimer = new Claimer(
    standIn<TaskStore>(store),
    standIn<WorkerPool>(pool),
    standIn<Heartbeat>(heartbeat),
    queueOptions({ workers, prefetch, pollSeconds: 1 }),
  );
  /** The nth claim takes tasks with these ids. */
  const answer = async (nth: number, ...ids: string[]) => {
    claims[nth]!.answer.resolve(ids.map((id) => aClaimedTask({ id, leaseToken: claims[nth]!.token })));
    await advance();
  };
  /** The run of a task that was started ends. */
  const end = async (id: string) => {
    for (const key of runs) if (key.startsWith(`${id}:`)) runs.delete(key);
    onFree();
    await advance();
  };
  const started = () => pool.start.mock.calls.map(([task]) => task.id);
  const limits = () => claims.map(({ limit }) => limit);
  return { claimer, pool, aborted, store, heartbeat, claims, answer, end, started, limits };
}

const lease = (id: string, token: string, changes: Partial<HeldLease> = {}): HeldLease => ({
  id,
  lease_token: token,
  cancel_requested: false,
  cancel_cleanup: false,
  ...changes,
});

describe('Claimer', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  describe('tasks that run alone', () => {
    const alone = (id: string, startBy = 0) => aClaimedTask({ id, startBy, alone: true });
    const ids = (tasks: readonly ClaimedTask[] = []) => tasks.map(({ id }) => id);

    it('are one at a time, where nothing else runs; the others go back', async () => {
      const { claimer, claims, pool, started } = setup();
      claimer.start();
      claims[0]!.answer.resolve([alone('1'), alone('2'), alone('3')]);
      await advance();
      expect(ids(pool.take.mock.calls[0]![0])).toEqual(['1']);
      expect(ids(pool.handBack.mock.calls[0]![0])).toEqual(['2', '3']);
      expect(started()).toEqual([]);
    });

    it('go back where others run, and claims go round them until they are promised to start', async () => {
      const { claimer, claims, pool, started, answer, end } = setup();
      claimer.start();
      claims[0]!.answer.resolve([alone('1', 1_000), aClaimedTask({ id: '2', startBy: 2_000 })]);
      await advance();
      expect(started()).toEqual(['2']);
      expect(ids(pool.handBack.mock.calls[0]![0])).toEqual(['1']);
      claimer.wake(Infinity);
      expect(claims[1]).toMatchObject({ floor: 1_000, company: { aloneFrom: 2, goRound: 'early' } });
      // What such a claim brings is late: it waits here, and nothing else is claimed.
      claims[1]!.answer.resolve([alone('3')]);
      await advance();
      expect(ids(pool.take.mock.calls[0]![0])).toEqual(['3']);
      await end('2');
      await end('3');
      claimer.wake();
      // It has had its turn: now the others have theirs, and where none waits, one that runs alone again.
      expect(claims[2]).toMatchObject({ limit: 5, company: { aloneFrom: 2, goRound: 'all' } });
      await answer(2);
      expect(claims[3]).toMatchObject({ limit: 1, floor: -Infinity, company: { aloneFrom: 2 } });
      expect(claims[3]!.company!.goRound).toBeUndefined();
      await answer(3);
      claimer.wake();
      expect(claims[4]).toMatchObject({ limit: 5, company: { aloneFrom: 2 } });
      expect(claims[4]!.company!.goRound).toBeUndefined();
    });

    it('come after what was claimed with them, also where tasks are taken ahead', async () => {
      const { claimer, claims, pool } = setup({ prefetch: 4 });
      claimer.start();
      claims[0]!.answer.resolve([aClaimedTask({ id: '1' })]);
      await advance();
      claimer.wake();
      claims[1]!.answer.resolve([alone('2'), aClaimedTask({ id: '3' })]);
      await advance();
      expect(ids(pool.handBack.mock.calls[0]![0])).toEqual(['2']);
      claimer.wake(Infinity);
      expect(claims[2]!.company!.goRound).toBe('early');
      claims[2]!.answer.resolve([alone('2'), alone('4'), aClaimedTask({ id: '5' })]);
      await advance();
      expect(ids(pool.handBack.mock.calls[1]![0])).toEqual(['4']);
      expect(pool.take.mock.calls.map(([tasks]) => ids(tasks))).toEqual([['1'], ['3'], ['5'], ['2']]);
    });

    it('are met again after a while, should there be any', async () => {
      const { claimer, claims, answer } = setup();
      claimer.start();
      claims[0]!.answer.resolve([alone('1'), aClaimedTask({ id: '2' })]);
      await advance();
      await advance(10_000);
      await answer(1);
      claimer.wake();
      expect(claims.map(({ company }) => company?.goRound)).toEqual([undefined, 'early', undefined]);
    });
  });

  describe('told to drain', () => {
    it('claims nothing more, hands back what it has taken ahead, and goes on when told so', async () => {
      const { claimer, claims, pool, answer } = setup();
      claimer.start();
      await answer(0);
      claimer.onWish({ workers: 5, draining: true });
      expect(pool.resize).toHaveBeenCalledWith(5);
      expect(pool.handBackPrefetched).toHaveBeenCalledTimes(1);
      claimer.wake();
      await advance(5_000);
      expect(claims).toHaveLength(1);
      const stored = jest.fn(async (_offer: Offer | undefined) => ({ result: 'stored', taken: [] }));
      await claimer.offerWorkers(stored);
      expect(stored).toHaveBeenCalledWith(undefined);
      claimer.onWish({ workers: 7, draining: false });
      await advance();
      expect(pool.resize).toHaveBeenLastCalledWith(7);
      expect(claims).toHaveLength(2);
    });

    it('hands back as well what a claim under way has taken ahead', async () => {
      const { claimer, pool, answer } = setup({ prefetch: 5 });
      claimer.start();
      claimer.onWish({ workers: 5, draining: true });
      pool.handBackPrefetched.mockClear();
      await answer(0, '1', '2');
      expect(pool.take).toHaveBeenCalledTimes(1);
      expect(pool.handBackPrefetched).toHaveBeenCalledTimes(1);
    });
  });

  describe('claims', () => {
    it('begin with the start, for all workers, under a token each', async () => {
      const { claimer, claims, answer, started } = setup();
      claimer.wake();
      expect(claims).toEqual([]);
      claimer.start();
      await advance();
      expect(claims).toMatchObject([{ limit: 5, instance: 'me' }]);
      await answer(0, '1', '2');
      expect(started()).toEqual(['1', '2']);
      claimer.wake();
      expect(claims[1]!.token).not.toBe(claims[0]!.token);
    });

    it('never ask for more tasks than workers are free', async () => {
      const { claimer, answer, limits } = setup({ workers: 3 });
      claimer.start();
      await answer(0, '1');
      claimer.wake();
      await answer(1, '2');
      claimer.wake();
      expect(limits()).toEqual([3, 2, 1]);
    });

    it('rest while no worker is free, and go on when one is', async () => {
      const { claimer, answer, end, limits } = setup({ workers: 2 });
      claimer.start();
      await answer(0, '1', '2');
      claimer.wake();
      await advance(5_000);
      expect(limits()).toEqual([2]);
      await end('1');
      expect(limits()).toEqual([2, 1]);
    });

    it('go on at once after a hand as full as it could be, for what came free meanwhile', async () => {
      const { claimer, pool, answer, limits } = setup({ workers: 2 });
      pool.start.mockImplementation(() => undefined);
      claimer.start();
      await answer(0, '1', '2');
      expect(limits()).toEqual([2, 2]);
      await answer(1, '3');
      expect(limits()).toEqual([2, 2]);
    });

    it('are one at a time: wake-ups during a claim lead to one more after it, and only one', async () => {
      const { claimer, answer, limits } = setup();
      claimer.start();
      claimer.wake();
      claimer.wake();
      await advance();
      claimer.wake();
      expect(limits()).toHaveLength(1);
      await answer(0);
      expect(limits()).toHaveLength(2);
      await answer(1);
      expect(limits()).toHaveLength(2);
    });

    it.each([0, 1, 2, 3, 4, 5, 6])('lose no wake-up that comes %d microtasks after a claim ended', async (gap) => {
      const { claimer, claims, limits } = setup();
      claimer.start();
      await advance();
      claims[0]!.answer.resolve([]);
      for (let microtask = 0; microtask < gap; microtask++) await Promise.resolve();
      claimer.wake();
      await advance();
      expect(limits()).toHaveLength(2);
    });

    it('are repeated by the poll interval while nobody wakes', async () => {
      const { claimer, answer, limits } = setup();
      claimer.start();
      await answer(0);
      await advance(999);
      expect(limits()).toHaveLength(1);
      await advance(1);
      expect(limits()).toHaveLength(2);
      await answer(1);
      await advance(1_000);
      expect(limits()).toHaveLength(3);
    });

    it('are not made while the instance has no lease; the poll asks again', async () => {
      const { claimer, heartbeat, limits } = setup();
      heartbeat.alive = false;
      claimer.start();
      claimer.wake();
      await advance(999);
      expect(limits()).toEqual([]);
      heartbeat.alive = true;
      await advance(1);
      expect(limits()).toEqual([5]);
    });
  });

  describe('the floor of a claim', () => {
    const tasks = (token: string, ...startBys: number[]) =>
      startBys.map((startBy, n) => aClaimedTask({ id: `${startBy}-${n}`, leaseToken: token, startBy }));

    /** A claimer whose first claim, without a floor as every first one, took tasks up to 300. */
    async function begun() {
      const world = setup();
      const { claimer, claims } = world;
      claimer.start();
      claims[0]!.answer.resolve(tasks(claims[0]!.token, 100, 300));
      await advance();
      const next = async (...startBys: number[]) => {
        const claim = claims.at(-1)!;
        claim.answer.resolve(tasks(claim.token, ...startBys));
        await advance();
        return claim.floor;
      };
      return { ...world, next };
    }

    it('is the last promise that was claimed, or an earlier one of a task that has come since', async () => {
      const { claimer, claims, next } = await begun();
      expect(claims[0]!.floor).toBe(-Infinity);
      claimer.wake(500);
      expect(await next(500)).toBe(300);
      claimer.wake(400);
      expect(await next()).toBe(400);
      claimer.wake(450);
      expect(await next()).toBe(400);
    });

    it('does not count when nobody knows what has come, nor once a second', async () => {
      const { claimer, next } = await begun();
      claimer.wake();
      expect(await next(310)).toBe(-Infinity);
      claimer.wake(600);
      expect(await next()).toBe(310);
      await advance(999);
      claimer.wake(600);
      expect(await next()).toBe(310);
      await advance(1);
      claimer.wake(600);
      expect(await next()).toBe(-Infinity);
    });

    it('is lowered by what comes during a claim', async () => {
      const { claimer, next } = await begun();
      claimer.wake(500);
      claimer.wake(200);
      expect(await next(500)).toBe(300);
      expect(await next()).toBe(200);
    });

    it('does not count after a claim that failed', async () => {
      const { claimer, claims, next } = await begun();
      claimer.wake(500);
      claims.at(-1)!.answer.reject(new Error('no'));
      await advance();
      claimer.wake(500);
      expect(await next()).toBe(-Infinity);
    });
  });

  describe('with prefetch', () => {
    it('takes workers´ and further tasks ahead, and asks again when half of those are gone', async () => {
      const { claimer, claims, answer, end, limits, pool, store } = setup({ workers: 1, prefetch: 4 });
      claimer.start();
      await answer(0, '1', '2', '3', '4', '5');
      expect(pool.take.mock.calls[0]![0].map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5']);
      expect([pool.start, store.claim].map((used) => used.mock.calls.length)).toEqual([0, 0]);
      await end('1');
      expect(claims).toHaveLength(1);
      await end('2');
      expect(limits()).toEqual([5, 2]);
    });
  });

  describe('a claim that fails', () => {
    it('is logged, starts nothing, and is not repeated before the next wake-up', async () => {
      const { claimer, claims, store, started } = setup();
      claimer.start();
      claims[0]!.answer.reject(sqlError('42P01', 'no such table'));
      await advance(999);
      expect(claims).toHaveLength(1);
      expect(store.claimedBy).not.toHaveBeenCalled();
      expect(started()).toEqual([]);
      expect(logs).toMatchObject([{ level: 'warn', msg: 'Claim failed', error: 'no such table' }]);
      await advance(1);
      expect(claims).toHaveLength(2);
    });

    it('is repeated at once if a wake-up came meanwhile', async () => {
      const { claimer, claims } = setup();
      claimer.start();
      claimer.wake();
      claims[0]!.answer.reject(new Error('no'));
      await advance();
      expect(claims).toHaveLength(2);
    });

    it('reads what it took after all when only the answer was lost', async () => {
      const { claimer, claims, store, started } = setup();
      store.claimedBy.mockImplementation(async (token) => [aClaimedTask({ id: '9', leaseToken: token })]);
      claimer.start();
      claims[0]!.answer.reject(databaseAway());
      await advance();
      expect(store.claimedBy.mock.calls).toEqual([[claims[0]!.token, { aloneFrom: 2 }]]);
      expect(started()).toEqual(['9']);
    });

    it('starts nothing when that cannot be read either', async () => {
      const { claimer, claims, store, started } = setup();
      store.claimedBy.mockRejectedValue(databaseAway());
      claimer.start();
      claims[0]!.answer.reject(databaseAway());
      await advance();
      expect(started()).toEqual([]);
      await advance(1_000);
      expect(claims).toHaveLength(2);
    });
  });

  describe('a lease lost while the claim was on its way', () => {
    it('makes its tasks nobody’s here: they stand under the old id', async () => {
      const { claimer, heartbeat, answer, started } = setup();
      claimer.start();
      heartbeat.instanceId = 'me-again';
      await answer(0, '1');
      expect(started()).toEqual([]);
    });

    it('counts also when the answer had to be read afterwards', async () => {
      const { claimer, heartbeat, claims, store, started } = setup();
      const read = deferred<ClaimedTask[]>();
      store.claimedBy.mockReturnValueOnce(read.promise);
      claimer.start();
      claims[0]!.answer.reject(databaseAway());
      await advance();
      heartbeat.instanceId = 'me-again';
      read.resolve([aClaimedTask({ id: '1', leaseToken: claims[0]!.token })]);
      await advance();
      expect(started()).toEqual([]);
    });

    it('aborts every run as lost', () => {
      const { claimer, pool } = setup();
      claimer.onLeaseLost();
      expect(pool.abortAll.mock.calls).toEqual([['lost']]);
    });
  });

  describe('onLeases', () => {
    /** Task 1 runs; a second claim is under way. */
    async function running() {
      const world = setup();
      world.claimer.start();
      await world.answer(0, '1');
      world.claimer.wake();
      await advance();
      return { ...world, first: world.claims[0]!.token, second: world.claims[1]!.token };
    }

    it('leaves alone what runs and is listed', async () => {
      const { claimer, aborted, store, first } = await running();
      claimer.onLeases([lease('1', first)], claimer.beforeLeasesRead());
      expect(aborted).toEqual([]);
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it('aborts as lost the runs known before the read and not listed', async () => {
      const { claimer, aborted, first } = await running();
      claimer.onLeases([], claimer.beforeLeasesRead());
      expect(aborted).toEqual([[runKey('1', first), 'lost']]);
    });

    it('takes a lease of the same task under another token for none of the run', async () => {
      const { claimer, aborted, store, first } = await running();
      claimer.onLeases([lease('1', 'other')], claimer.beforeLeasesRead());
      expect(aborted).toEqual([[runKey('1', first), 'lost']]);
      expect(store.handBackUnlocked.mock.calls).toEqual([[[{ id: '1', token: 'other' }], 'worker:me', 'handed_back']]);
    });

    it('does not call lost a run that began after the read was sent', async () => {
      const { claimer, aborted, answer, first } = await running();
      const known = claimer.beforeLeasesRead();
      await answer(1, '2');
      claimer.onLeases([lease('1', first)], known);
      expect(aborted).toEqual([]);
    });

    it('cancels the runs whose cancel was requested', async () => {
      const { claimer, aborted, first } = await running();
      claimer.onLeases([lease('1', first, { cancel_requested: true })], claimer.beforeLeasesRead());
      expect(aborted).toEqual([[runKey('1', first), 'cancelled']]);
    });

    it('hands back leases that belong to no run, in one go', async () => {
      const { claimer, store, first } = await running();
      claimer.onLeases(
        [lease('1', first), lease('7', 'gone'), lease('8', 'gone', { cancel_requested: true })],
        claimer.beforeLeasesRead(),
      );
      await advance();
      const strays = [
        { id: '7', token: 'gone' },
        { id: '8', token: 'gone' },
      ];
      expect(store.handBackUnlocked.mock.calls).toEqual([[strays, 'worker:me', 'handed_back']]);
      expect(logs).toContainEqual({ level: 'warn', msg: 'Leases without a run were handed back', tasks: 2 });
    });

    it('says so when they cannot be handed back yet', async () => {
      const { claimer, store } = await running();
      store.handBackUnlocked.mockRejectedValue(new Error('away'));
      claimer.onLeases([lease('7', 'gone')], new Set());
      await advance();
      expect(logs).toMatchObject([{ msg: 'Leases without a run could not be handed back yet', error: 'Error: away' }]);
    });

    it('takes leases of a claim that is still under way for no strays', async () => {
      const { claimer, store, second } = await running();
      claimer.onLeases([lease('2', second)], new Set());
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it('takes leases of a claim that was under way before the read for no strays, though its run has ended', async () => {
      const { claimer, store, answer, end, second } = await running();
      const known = claimer.beforeLeasesRead();
      await answer(1, '2');
      await end('2');
      claimer.onLeases([lease('2', second)], known);
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it('takes the lease of a run for no stray that ended after the read was sent', async () => {
      const { claimer, store, end, first } = await running();
      const known = claimer.beforeLeasesRead();
      await end('1');
      claimer.onLeases([lease('1', first)], known);
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it('takes leases for no strays that a run took over between claim and read', async () => {
      const { claimer, store, answer, second } = await running();
      await answer(1, '2');
      claimer.onLeases([lease('2', second)], new Set());
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it.each([0, 1, 2, 3, 4, 5, 6])('takes leases for no strays %d microtasks after their claim ended', async (gap) => {
      const { claimer, claims, store, second } = await running();
      claims[1]!.answer.resolve([aClaimedTask({ id: '2', leaseToken: second })]);
      for (let microtask = 0; microtask < gap; microtask++) await Promise.resolve();
      claimer.onLeases([lease('2', second)], new Set());
      expect(store.handBackUnlocked).not.toHaveBeenCalled();
    });

    it('finds as strays what a failed claim took after all', async () => {
      const { claimer, store, claims, second } = await running();
      claims[1]!.answer.reject(sqlError('57014'));
      await advance();
      claimer.onLeases([lease('2', second)], claimer.beforeLeasesRead());
      expect(store.handBackUnlocked.mock.calls).toEqual([[[{ id: '2', token: second }], 'worker:me', 'handed_back']]);
    });
  });

  describe('stop', () => {
    it('waits for the claim under way and starts what it took', async () => {
      const { claimer, answer, started } = setup();
      claimer.start();
      const stopped = watch(claimer.stop());
      await advance();
      expect(stopped.state).toBe('pending');
      await answer(0, '1');
      expect(stopped.state).toBe('resolved');
      expect(started()).toEqual(['1']);
    });

    it('lets no claim begin after it: not for a wake-up, a free worker or the timer', async () => {
      const { claimer, answer, end, limits } = setup({ workers: 1 });
      claimer.start();
      claimer.wake();
      const stopped = watch(claimer.stop());
      await answer(0, '1');
      expect(stopped.state).toBe('resolved');
      claimer.wake();
      await end('1');
      await advance(10_000);
      expect(limits()).toEqual([1]);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('resolves at once when nothing is under way', async () => {
      const { claimer, answer } = setup();
      claimer.start();
      await answer(0);
      await expect(claimer.stop()).resolves.toBeUndefined();
    });
  });

  it('does not look again for each worker that becomes free once a claim has found all there was', async () => {
    const { claimer, claims, answer, end } = setup({ workers: 2 });
    claimer.start();
    await answer(0, '1');
    await end('1');
    expect(claims).toHaveLength(1);
    claimer.wake(7);
    await answer(1, '2', '3');
    await end('2');
    expect(claims).toHaveLength(3);
  });

  it('looks again for a worker that becomes free when the last claim failed, or another word came meanwhile', async () => {
    const { claimer, claims, answer, end } = setup({ workers: 3 });
    claimer.start();
    await answer(0, '1', '2');
    claimer.wake(7);
    claims[1]!.answer.reject(sqlError('40001'));
    await advance();
    await end('1');
    expect(claims).toHaveLength(3);
    claimer.wake(7);
    await answer(2);
    expect(claims).toHaveLength(4);
  });

  describe('an offer of idle workers', () => {
    const nothing = { result: 'stored', taken: [] };

    /** A claimer that has found nothing to do, and an offer whose tasks are stored when the test says so. */
    async function idle(options: { workers?: number } = {}) {
      const all = setup(options);
      all.claimer.start();
      await all.answer(0);
      const stored = deferred<{ result: string; taken: ClaimedTask[] }>();
      const store = jest.fn((_: Offer | undefined) => stored.promise);
      const seen = watch(all.claimer.offerWorkers(store));
      return { ...all, stored, seen, offer: store.mock.calls[0]![0] };
    }

    it('names the idle workers, and starts what they got after the answer to whoever stored it', async () => {
      const { offer, stored, seen, started, claimer } = await idle({ workers: 3 });
      expect(offer).toEqual({ instance: 'me', token: expect.any(String), workers: 3, floor: expect.any(Number) });
      expect(claimer.beforeLeasesRead()).toContain(offer!.token);
      stored.resolve({ result: 'stored', taken: [aClaimedTask({ id: '1', leaseToken: offer!.token })] });
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      expect(seen.value).toBe('stored');
      expect(started()).toEqual([]);
      await advance(1);
      expect(started()).toEqual(['1']);
      expect(claimer.beforeLeasesRead()).not.toContain(offer!.token);
    });

    it('is the only one, and no claim begins beside it', async () => {
      const { claimer, claims, stored } = await idle();
      const second = jest.fn(async (_: Offer | undefined) => nothing);
      await claimer.offerWorkers(second);
      expect(second).toHaveBeenCalledWith(undefined);
      claimer.wake(5);
      await advance();
      expect(claims).toHaveLength(1);
      stored.resolve({ ...nothing });
      await advance(1);
      expect(claims).toHaveLength(2);
    });

    it('is not made while a claim is under way, no worker is idle, or nothing may be claimed', async () => {
      const store = jest.fn(async (_: Offer | undefined) => nothing);
      const asleep = setup();
      await asleep.claimer.offerWorkers(store); // it has not started
      const claiming = setup();
      claiming.claimer.start();
      await claiming.claimer.offerWorkers(store);
      const busy = setup({ workers: 1 });
      busy.claimer.start();
      await busy.answer(0, '1');
      await busy.claimer.offerWorkers(store);
      const lost = setup();
      lost.claimer.start();
      await lost.answer(0);
      lost.heartbeat.alive = false;
      await lost.claimer.offerWorkers(store);
      expect(store.mock.calls).toEqual([[undefined], [undefined], [undefined], [undefined]]);
    });

    it('leaves to the rescuer what an instance got whose lease is lost meanwhile', async () => {
      const { heartbeat, stored, started } = await idle();
      heartbeat.instanceId = 'me again';
      stored.resolve({ result: 'stored', taken: [aClaimedTask({ id: '1' })] });
      await advance(1);
      expect(started()).toEqual([]);
    });

    it('that could not be stored is the error of its caller, and the next claim begins', async () => {
      const { claimer, claims, stored, seen } = await idle();
      claimer.wake();
      stored.reject(new Error('away'));
      await advance(1);
      expect(seen.state).toBe('rejected');
      expect(claims).toHaveLength(2);
    });

    it('is waited for when the claimer stops', async () => {
      const { claimer, offer, stored, started } = await idle();
      const stopped = watch(claimer.stop());
      await advance();
      expect(stopped.state).toBe('pending');
      stored.resolve({ result: 'stored', taken: [aClaimedTask({ id: '1', leaseToken: offer!.token })] });
      await advance(1);
      expect(stopped.state).toBe('resolved');
      expect(started()).toEqual(['1']);
    });
  });
});
