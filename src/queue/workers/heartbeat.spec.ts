import { EventEmitter } from 'node:events';
import {
  advance,
  deferred,
  queryOf,
  queueOptions,
  recordLogs,
  standIn,
  useFakeTime,
  watch,
} from '../../../test/support/queue-doubles.js';
import type { QueueOptions } from '../queue-options.js';
import type { QueueDatabase, Statement } from '../store/queue-database.js';
import { Heartbeat, type HeldLease, type LeaseHolder } from './heartbeat.js';

const LEASE = 30_000;
const BEAT = LEASE / 4;
/** The lease less the margin of 5 s. */
const MINE = 25_000;

interface Query extends Statement {
  readonly values: unknown[];
}

/** A heartbeat on a database that renews until it is told otherwise; `trail` is what happened, in order. */
function setup({ leaseSeconds = 30, pooler }: Pick<QueueOptions, 'leaseSeconds' | 'pooler'> = {}) {
  const trail: string[] = [];
  const queries: Query[] = [];
  const leases: HeldLease[] = [];
  const answers: Record<string, (query: Query) => Promise<unknown[]>> = {
    queue_renew: async () => [{ workers: 4, draining: false }],
    queue_leases_of: async () => leases,
  };
  const newClient = jest.fn((_timeoutMs: number) =>
    Object.assign(new EventEmitter(), {
      connect: async () => undefined,
      end: async () => void trail.push('end'),
      query: async (query: Query) => {
        trail.push(query.name.replace('queue_', ''));
        queries.push(query);
        return { rows: (await answers[query.name]?.(query)) ?? [] };
      },
    }),
  );
  const holder = {
    onLeaseLost: jest.fn(() => void trail.push('lost')),
    beforeLeasesRead: jest.fn<ReadonlySet<string>, []>(() => {
      trail.push('before');
      return new Set(['known']);
    }),
    onLeases: jest.fn<void, Parameters<LeaseHolder['onLeases']>>(() => void trail.push('leases')),
    onWish: jest.fn<void, Parameters<LeaseHolder['onWish']>>(),
  };
  const options = queueOptions({ leaseSeconds, pooler, workers: 4, version: '1.2.3' });
  const heartbeat = new Heartbeat(standIn<QueueDatabase>({ newClient, queryOf }), options);
  const count = (name: string) => trail.filter((entry) => entry === name).length;
  /** The queries of a kind are answered when and as the test says. */
  const hold = (name: string) => {
    const answer = deferred<unknown[]>();
    answers[name] = () => answer.promise;
    return answer;
  };
  return { heartbeat, holder, trail, queries, leases, answers, newClient, count, hold };
}

async function started(options?: Parameters<typeof setup>[0]) {
  const world = setup(options);
  await world.heartbeat.start(world.holder);
  world.trail.length = 0;
  return { ...world, began: performance.now(), firstId: world.heartbeat.instanceId };
}

describe('Heartbeat', () => {
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
    it('joins under an id of its own and says who it is', async () => {
      const { heartbeat, holder, queries, newClient } = setup();
      expect(heartbeat.instanceId).toBe('');
      expect(heartbeat.alive).toBe(false);
      await heartbeat.start(holder);
      expect(heartbeat.alive).toBe(true);
      expect(queries).toMatchObject([
        {
          name: 'queue_join',
          values: [heartbeat.instanceId, 30, expect.any(String), process.pid, '1.2.3', 4, false, false],
        },
      ]);
      const other = setup();
      await other.heartbeat.start(other.holder);
      expect(other.heartbeat.instanceId).not.toBe(heartbeat.instanceId);
      // A statement that hangs is given up well before the lease is over.
      expect(newClient).toHaveBeenCalledWith(LEASE / 3);
    });

    it('rejects when the database is away', async () => {
      const { heartbeat, holder, hold } = setup();
      hold('queue_join').reject(new Error('away'));
      await expect(heartbeat.start(holder)).rejects.toThrow('away');
      expect(heartbeat.alive).toBe(false);
    });

    it('reckons the deadline from before it sent, however long the answer took', async () => {
      const { heartbeat, holder, hold } = setup();
      const answer = hold('queue_join');
      const sent = performance.now();
      const start = heartbeat.start(holder);
      await advance(4_000);
      answer.resolve([]);
      await start;
      expect(heartbeat.deadline()).toBe(sent + MINE);
    });
  });

  describe('a beat', () => {
    it('comes every quarter of the lease', async () => {
      const { count } = await started();
      await advance(BEAT - 1);
      expect(count('renew')).toBe(0);
      await advance(1);
      expect(count('renew')).toBe(1);
      await advance(BEAT);
      expect(count('renew')).toBe(2);
    });

    it('comes sooner where no notification tells of a cancel', async () => {
      const { heartbeat, holder, count } = setup({ pooler: 'transaction' });
      await heartbeat.start(holder);
      await advance(2_000);
      expect(count('renew')).toBe(1);
    });

    it('moves the deadline, from before it sent', async () => {
      const { heartbeat, began, hold } = await started();
      const answer = hold('queue_renew');
      await advance(BEAT + 3_000);
      expect(heartbeat.deadline()).toBe(began + MINE);
      answer.resolve([{}]);
      await advance();
      expect(heartbeat.deadline()).toBe(began + BEAT + MINE);
    });

    it('then reads the leases, for the holder to compare with what it knew before the read', async () => {
      const { heartbeat, holder, trail, queries, leases } = await started();
      leases.push({ id: '1', lease_token: 't', cancel_requested: false, cancel_cleanup: false });
      await advance(BEAT);
      expect(trail).toEqual(['renew', 'before', 'leases_of', 'leases']);
      expect(queries.at(-1)!.values).toEqual([heartbeat.instanceId]);
      expect(holder.onLeases.mock.calls).toEqual([[leases, new Set(['known'])]]);
    });

    it('calls back whoever wants to know of renewals, until they do not', async () => {
      const { heartbeat } = await started();
      const [first, second] = [jest.fn(), jest.fn()];
      const endFirst = heartbeat.onRenewed(first);
      heartbeat.onRenewed(second);
      await advance(BEAT);
      endFirst();
      await advance(BEAT);
      expect(first).toHaveBeenCalledTimes(1);
      expect(second).toHaveBeenCalledTimes(2);
    });

    it.each(['queue_renew', 'queue_leases_of'])('is repeated after half a second when %s fails', async (name) => {
      const { heartbeat, holder, answers, count } = await started();
      const works = answers[name]!;
      answers[name] = () => Promise.reject(new Error('away'));
      await advance(BEAT);
      expect(count('renew')).toBe(1);
      expect(logs).toContainEqual(expect.objectContaining({ level: 'warn', msg: 'Heartbeat failed', error: 'away' }));
      await advance(499);
      expect(count('renew')).toBe(1);
      answers[name] = works;
      await advance(1);
      expect(count('renew')).toBe(2);
      expect(heartbeat.alive).toBe(true);
      expect(holder.onLeases).toHaveBeenCalledTimes(1);
      await advance(BEAT - 1);
      expect(count('renew')).toBe(2);
    });

    it('is repeated sooner where the lease is short', async () => {
      const { answers, count } = await started({ leaseSeconds: 0.9 });
      answers.queue_renew = () => Promise.reject(new Error('away'));
      await advance(600);
      expect(count('renew')).toBe(2);
    });

    it('neither moves the deadline nor calls back when it fails', async () => {
      const { heartbeat, answers, began } = await started();
      const renewed = jest.fn();
      heartbeat.onRenewed(renewed);
      answers.queue_renew = () => Promise.reject(new Error('away'));
      await advance(BEAT + 2_000);
      expect(heartbeat.deadline()).toBe(began + MINE);
      expect(renewed).not.toHaveBeenCalled();
    });
  });

  describe('the lease is lost', () => {
    it('when the database has given it up: every run is aborted, then it joins at once under a new id', async () => {
      const { heartbeat, answers, trail, firstId, holder } = await started();
      answers.queue_renew = async () => [];
      holder.onLeaseLost.mockImplementation(() => {
        trail.push('lost');
        expect(heartbeat.alive).toBe(false);
        expect(heartbeat.instanceId).toBe('');
      });
      await advance(BEAT);
      await advance(1);
      expect(trail).toEqual(['renew', 'lost', 'join']);
      expect(heartbeat.alive).toBe(true);
      expect(heartbeat.instanceId).not.toBe(firstId);
    });

    it('when the database does not answer until the deadline, and not a moment earlier', async () => {
      const { heartbeat, holder, hold, firstId } = await started();
      hold('queue_renew');
      await advance(MINE - 1);
      expect(heartbeat.alive).toBe(true);
      expect(holder.onLeaseLost).not.toHaveBeenCalled();
      await advance(1);
      expect(heartbeat.alive).toBe(false);
      expect(heartbeat.instanceId).toBe('');
      expect(holder.onLeaseLost).toHaveBeenCalledTimes(1);
      expect(logs).toContainEqual(expect.objectContaining({ level: 'error', instance: firstId }));
    });

    it('when beats fail until the deadline; it joins under a new id as soon as the database answers', async () => {
      const { heartbeat, holder, answers, count, firstId } = await started();
      answers.queue_renew = () => Promise.reject(new Error('away'));
      answers.queue_join = () => Promise.reject(new Error('away'));
      await advance(LEASE);
      expect(holder.onLeaseLost).toHaveBeenCalledTimes(1);
      expect(count('join')).toBeGreaterThan(1);
      expect(heartbeat.alive).toBe(false);
      delete answers.queue_join;
      await advance(500);
      expect(heartbeat.alive).toBe(true);
      expect(heartbeat.instanceId).not.toBe(firstId);
      expect(logs).toContainEqual(
        expect.objectContaining({ msg: 'Joined again after a lost lease', instance: heartbeat.instanceId }),
      );
    });

    it('for alive from the deadline on, even while a busy event loop keeps every timer from firing', async () => {
      const { heartbeat, began } = await started();
      const now = jest.spyOn(performance, 'now');
      now.mockReturnValue(began + MINE - 1);
      expect(heartbeat.alive).toBe(true);
      now.mockReturnValue(began + MINE);
      expect(heartbeat.alive).toBe(false);
    });

    it('for good: a renewal answered after the deadline does not bring it back, and it joins at once', async () => {
      const { heartbeat, holder, hold, trail } = await started();
      const answer = hold('queue_renew');
      const renewed = jest.fn();
      heartbeat.onRenewed(renewed);
      await advance(MINE);
      expect(trail).toEqual(['renew', 'lost']);
      const joined = hold('queue_join');
      answer.resolve([{}]);
      await advance(1);
      expect(heartbeat.deadline()).toBe(0);
      expect(renewed).not.toHaveBeenCalled();
      expect(holder.onLeases).not.toHaveBeenCalled();
      expect(trail).toEqual(['renew', 'lost', 'join']);
      joined.resolve([]);
      await advance();
      expect(heartbeat.alive).toBe(true);
    });

    it('once: the guard of the old lease does not take the new one', async () => {
      const { heartbeat, holder, answers } = await started();
      answers.queue_renew = async () => [];
      await advance(BEAT + 1);
      answers.queue_renew = async () => [{}];
      const id = heartbeat.instanceId;
      await advance(3 * LEASE);
      expect(heartbeat.instanceId).toBe(id);
      expect(holder.onLeaseLost).toHaveBeenCalledTimes(1);
    });
  });

  it('keeps its id for as long as it renews', async () => {
    const { heartbeat, holder, firstId } = await started();
    await advance(10 * LEASE);
    expect(heartbeat.instanceId).toBe(firstId);
    expect(heartbeat.alive).toBe(true);
    expect(holder.onLeaseLost).not.toHaveBeenCalled();
  });

  describe('what operators want', () => {
    it('is handed on when a renewal brings something else, once', async () => {
      const { answers, holder } = await started();
      await advance(BEAT);
      expect(holder.onWish).not.toHaveBeenCalled();
      answers.queue_renew = async () => [{ workers: 9, draining: true }];
      await advance(2 * BEAT);
      expect(holder.onWish.mock.calls).toEqual([[{ workers: 9, draining: true }]]);
    });

    it('goes with the instance into its next life', async () => {
      const { answers, queries } = await started();
      answers.queue_renew = async () => [{ workers: 9, draining: true }];
      await advance(BEAT);
      answers.queue_renew = async () => [];
      await advance(BEAT + 1);
      expect(queries.at(-1)).toMatchObject({ name: 'queue_join', values: expect.arrayContaining([9, true, false]) });
    });

    it('is no matter to one that ends: it drains for good, in its next life too', async () => {
      const { heartbeat, answers, holder, queries } = await started();
      await heartbeat.startDraining();
      answers.queue_renew = async () => [{ workers: 9, draining: false }];
      await advance(BEAT);
      expect(holder.onWish).not.toHaveBeenCalled();
      answers.queue_renew = async () => [];
      await advance(BEAT + 1);
      expect(queries.at(-1)!.values.slice(-2)).toEqual([true, true]);
    });
  });

  describe('beatNow', () => {
    it('beats now, and the next beat is a quarter of the lease later', async () => {
      const { heartbeat, holder, count } = await started();
      await advance(6_000);
      await heartbeat.beatNow();
      expect(holder.onLeases).toHaveBeenCalledTimes(1);
      await advance(BEAT - 1);
      expect(count('renew')).toBe(1);
      await advance(1);
      expect(count('renew')).toBe(2);
    });

    it('waits for the beat under way, and then beats once more: that one may have read too early', async () => {
      const { heartbeat, hold, answers, trail } = await started();
      const read = hold('queue_leases_of');
      await advance(BEAT);
      const beats = [watch(heartbeat.beatNow()), watch(heartbeat.beatNow())];
      await advance();
      expect(trail).toEqual(['renew', 'before', 'leases_of']);
      answers.queue_leases_of = async () => [];
      read.resolve([]);
      await advance();
      expect(beats.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
      expect(trail.slice(3)).toEqual(['leases', 'renew', 'before', 'leases_of', 'leases']);
    });

    it('does not reject when the beat fails', async () => {
      const { heartbeat, answers } = await started();
      answers.queue_renew = () => Promise.reject(new Error('away'));
      await expect(heartbeat.beatNow()).resolves.toBeUndefined();
    });

    it('does nothing before the start and after the stop', async () => {
      const { heartbeat, trail } = setup();
      await heartbeat.beatNow();
      expect(trail).toEqual([]);
      const world = await started();
      await world.heartbeat.stop();
      await world.heartbeat.beatNow();
      expect(world.count('renew')).toBe(0);
    });
  });

  it('marks the instance as draining; a failure of that stops no drain', async () => {
    const { heartbeat, queries, answers, firstId } = await started();
    await heartbeat.startDraining();
    expect(queries.at(-1)).toMatchObject({ name: 'queue_start_draining', values: [firstId] });
    answers.queue_start_draining = () => Promise.reject(new Error('away'));
    await expect(heartbeat.startDraining()).resolves.toBeUndefined();
  });

  describe('stop', () => {
    it('leaves the cluster, closes the connection and beats no more', async () => {
      const { heartbeat, holder, trail, queries, firstId } = await started();
      await heartbeat.stop();
      expect(trail).toEqual(['leave', 'end']);
      expect(queries.at(-1)!.values).toEqual([firstId]);
      expect(heartbeat.instanceId).toBe('');
      expect(heartbeat.alive).toBe(false);
      await advance(2 * LEASE);
      expect(trail).toEqual(['leave', 'end']);
      expect(holder.onLeaseLost).not.toHaveBeenCalled();
    });

    it('waits for the beat under way before it leaves', async () => {
      const { heartbeat, hold, trail } = await started();
      const answer = hold('queue_renew');
      await advance(BEAT);
      const stopped = watch(heartbeat.stop());
      await advance();
      expect(trail).toEqual(['renew']);
      answer.resolve([{}]);
      await advance(2 * LEASE);
      expect(stopped.state).toBe('resolved');
      expect(trail).toEqual(['renew', 'before', 'leases_of', 'leases', 'leave', 'end']);
    });

    it('leaves under the id of a join that was under way', async () => {
      const { heartbeat, answers, hold, queries } = await started();
      answers.queue_renew = async () => [];
      const joined = hold('queue_join');
      await advance(BEAT + 1);
      const stopped = watch(heartbeat.stop());
      joined.resolve([]);
      await advance();
      expect(stopped.state).toBe('resolved');
      const [join, leave] = queries.slice(-2);
      expect([join!.name, leave!.name]).toEqual(['queue_join', 'queue_leave']);
      expect(leave!.values[0]).toBe(join!.values[0]);
    });

    it('ends though the database is away: the rescuer finds the row', async () => {
      const { heartbeat, answers } = await started();
      answers.queue_leave = () => Promise.reject(new Error('away'));
      await expect(heartbeat.stop()).resolves.toBeUndefined();
      expect(heartbeat.instanceId).toBe('');
    });

    it('has nothing to leave without a lease', async () => {
      const { heartbeat, hold, trail } = await started();
      const answer = hold('queue_renew');
      await advance(MINE);
      const stopped = watch(heartbeat.stop());
      answer.reject(new Error('away'));
      await advance();
      expect(stopped.state).toBe('resolved');
      expect(trail).not.toContain('leave');
      expect(trail).not.toContain('join');
    });
  });
});
