import { EventEmitter } from 'node:events';
import { advance, deferred, recordLogs, standIn, turns, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { QueueDatabase, Statement } from '../store/queue-database.js';
import { dueInOf, earliestOf, WakeUps, type WakeUp } from './wake-ups.js';

class FakeClient extends EventEmitter {
  readonly connect = jest.fn(async () => undefined);
  readonly query = jest.fn<Promise<unknown>, [string]>(async () => undefined);
  readonly end = jest.fn(async () => undefined);
}

function setup(pooler: 'none' | 'transaction' = 'none') {
  const clients: FakeClient[] = [];
  /** Whoever listens hears what is sent. */
  const echoes = { heard: true };
  const run = jest.fn<Promise<unknown[]>, [Statement, readonly unknown[]]>(async (_, [payload]) => {
    if (echoes.heard) clients.at(-1)?.emit('notification', { payload });
    return [];
  });
  const newClient = jest.fn(() => {
    const client = new FakeClient();
    clients.push(client);
    return client;
  });
  const wakeUps = new WakeUps(standIn<QueueDatabase>({ run, newClient }), { pooler });
  const heard: WakeUp[] = [];
  wakeUps.onWakeUp((wakeUp) => heard.push(wakeUp));
  const sent = () =>
    run.mock.calls.map(([, values]) => values[0] as string).filter((word) => !word.startsWith('echo:'));
  const asked = () => run.mock.calls.length - sent().length;
  return { wakeUps, run, echoes, asked, newClient, clients, heard, sent };
}

describe('WakeUps', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => (logs = recordLogs()));
  afterEach(() => jest.restoreAllMocks());

  describe('send', () => {
    it('sends a wake-up as a statement of its own', async () => {
      const { wakeUps, run } = setup();
      wakeUps.sendReady();
      await turns();
      expect(run).toHaveBeenCalledTimes(1);
      expect(run.mock.calls[0]![0].text).toContain('pg_notify');
      expect(run.mock.calls[0]![1]).toEqual(['ready']);
    });

    it('sends one more for however many came while one was on its way', async () => {
      const { wakeUps, run, sent } = setup();
      const first = deferred<unknown[]>();
      run.mockReturnValueOnce(first.promise);
      for (let n = 0; n < 100; n++) wakeUps.sendReady();
      await turns();
      for (let n = 0; n < 100; n++) wakeUps.sendReady();
      expect(sent()).toEqual(['ready']);
      first.resolve([]);
      await turns();
      expect(sent()).toEqual(['ready', 'ready']);
    });

    it('keeps different wake-ups apart', async () => {
      const { wakeUps, run, sent } = setup();
      const first = deferred<unknown[]>();
      run.mockReturnValueOnce(first.promise);
      wakeUps.sendReady();
      for (const instance of ['a', 'b', 'a']) wakeUps.sendCancel(instance);
      wakeUps.sendReady();
      first.resolve([]);
      await turns();
      expect(sent()).toEqual(['ready', 'cancel:a', 'cancel:b', 'ready']);
    });

    it('tells in how long the first of the tasks is due that were stored meanwhile', async () => {
      const { wakeUps, run, sent } = setup();
      const first = deferred<unknown[]>();
      run.mockReturnValueOnce(first.promise);
      wakeUps.sendDue(400.4);
      for (const ms of [900, 300, 500]) wakeUps.sendDue(ms);
      first.resolve([]);
      await turns();
      wakeUps.sendDue(-20);
      wakeUps.sendDue(60_001); // everybody looks more often than that
      await turns();
      expect(sent()).toEqual(['due:400', 'due:300', 'due:0']);
      expect(sent().map(dueInOf)).toEqual([400, 300, 0]);
      expect(['ready', 'ready:5', 'cancel:due:7', 'due:x'].map(dueInOf)).toEqual(Array(4).fill(undefined));
      expect(earliestOf('due:5')).toBeUndefined();
    });

    it('names the earliest time at which a new task is promised to start, where all of them are known', async () => {
      const { wakeUps, run, sent } = setup();
      const first = deferred<unknown[]>();
      run.mockReturnValueOnce(first.promise);
      wakeUps.sendReady(500.25);
      for (const earliest of [700, 600.5, 800]) wakeUps.sendReady(earliest);
      first.resolve([]);
      await turns();
      expect(sent()).toEqual(['ready:500.25', 'ready:600.5']);
      wakeUps.sendReady(900);
      wakeUps.sendReady();
      await turns();
      expect(sent().slice(2)).toEqual(['ready:900', 'ready']);
    });

    it.each([
      ['ready', -Infinity],
      ['ready:1700000000000.5', 1_700_000_000_000.5],
      ['ready:-5', -5],
      ['ready:soon', -Infinity],
      ['readymade', undefined],
      ['cancel:me', undefined],
    ])('reads %p as new tasks from %p on', (wakeUp, earliest) => {
      expect(earliestOf(wakeUp)).toBe(earliest);
    });

    it('swallows a failure, and sends again the next time', async () => {
      const { wakeUps, run, sent } = setup();
      run.mockRejectedValueOnce(new Error('away'));
      wakeUps.sendReady();
      await turns();
      wakeUps.sendCancel('a');
      await turns();
      expect(sent()).toEqual(['ready', 'cancel:a']);
    });
  });

  describe('listening', () => {
    it('begins with the first tick and keeps one connection', async () => {
      const { wakeUps, clients, newClient } = setup();
      expect(newClient).not.toHaveBeenCalled();
      await wakeUps.ensureListening();
      await wakeUps.ensureListening();
      expect(newClient).toHaveBeenCalledTimes(1);
      expect(clients[0]!.query.mock.calls).toEqual([['LISTEN turnpike_queue']]);
    });

    it('tells what it hears, own wake-ups included', async () => {
      const { wakeUps, clients, heard } = setup();
      await wakeUps.ensureListening();
      clients[0]!.emit('notification', { payload: 'ready' });
      clients[0]!.emit('notification', { payload: 'cancel:me' });
      clients[0]!.emit('notification', {});
      expect(heard).toEqual(['ready', 'cancel:me', 'ready']);
    });

    it('listens again on a new connection after a loss', async () => {
      const { wakeUps, clients, heard } = setup();
      await wakeUps.ensureListening();
      clients[0]!.emit('error', new Error('terminated'));
      await wakeUps.ensureListening();
      expect(clients[1]!.query.mock.calls).toEqual([['LISTEN turnpike_queue']]);
      clients[1]!.emit('notification', { payload: 'ready' });
      expect(heard).toEqual(['ready']);
    });

    it('says once that it cannot, and once that it can again', async () => {
      const { wakeUps, newClient } = setup();
      const dead = () => {
        const client = new FakeClient();
        client.connect.mockRejectedValue(new Error('away'));
        return client;
      };
      newClient.mockImplementationOnce(dead).mockImplementationOnce(dead);
      await wakeUps.ensureListening();
      await wakeUps.ensureListening();
      expect(logs).toMatchObject([{ level: 'warn', error: 'away' }]);
      await wakeUps.ensureListening();
      await wakeUps.ensureListening();
      expect(logs.slice(1)).toMatchObject([{ level: 'log', msg: 'Notifications from PostgreSQL are back' }]);
    });

    it('gives a connection up that connects but cannot listen', async () => {
      const { wakeUps, newClient } = setup();
      const mute = new FakeClient();
      mute.query.mockRejectedValue(new Error('not in this pooling mode'));
      newClient.mockImplementationOnce(() => mute);
      await wakeUps.ensureListening();
      expect(mute.end).toHaveBeenCalledTimes(1);
      expect(logs).toMatchObject([{ level: 'warn', error: 'not in this pooling mode' }]);
    });
  });

  describe('an echo', () => {
    beforeEach(useFakeTime);
    afterEach(() => jest.useRealTimers());

    it('shows that notifications arrive; it is asked of each new connection, and once a minute', async () => {
      const { wakeUps, clients, heard, asked, run } = setup();
      await wakeUps.ensureListening();
      await advance(30_000);
      await wakeUps.ensureListening();
      expect(asked()).toBe(1);
      expect(run.mock.calls[0]![0]).not.toHaveProperty('name');
      clients[0]!.emit('error', new Error('terminated'));
      await wakeUps.ensureListening();
      expect(asked()).toBe(2);
      await advance(60_000);
      await wakeUps.ensureListening();
      expect(asked()).toBe(3);
      expect([wakeUps.degraded, heard, logs]).toEqual([undefined, [], []]);
    });

    it('that nobody hears is told once, with what to do; another connection is tried, and may hear', async () => {
      const { wakeUps, clients, echoes, asked } = setup();
      echoes.heard = false;
      await wakeUps.ensureListening();
      expect(wakeUps.degraded).toBeUndefined();
      await advance(5_000);
      expect(wakeUps.degraded).toMatch(/^no notifications: .*nothing arrives.*DATABASE_POOLER=transaction/);
      expect(logs).toMatchObject([{ level: 'warn', error: expect.stringContaining('DATABASE_POOLER=transaction') }]);
      expect(clients[0]!.end).toHaveBeenCalledTimes(1);
      await wakeUps.ensureListening();
      await advance(29_000);
      await wakeUps.ensureListening();
      expect([clients.length, asked()]).toEqual([2, 1]);
      await advance(1_000);
      await wakeUps.ensureListening();
      await advance(5_000);
      expect([asked(), logs.length]).toEqual([2, 1]);
      echoes.heard = true;
      await advance(30_000);
      await wakeUps.ensureListening();
      await advance();
      expect(wakeUps.degraded).toBeUndefined();
      expect(logs[1]).toMatchObject({ msg: 'Notifications from PostgreSQL are back' });
    });

    it('says nothing where it cannot be sent', async () => {
      const { wakeUps, run } = setup();
      run.mockRejectedValueOnce(new Error('away'));
      await wakeUps.ensureListening();
      await advance(5_000);
      expect([wakeUps.degraded, logs]).toEqual([undefined, []]);
    });

    it('is all that an instance listens for which has nothing else to listen for', async () => {
      const { wakeUps, clients } = setup();
      await wakeUps.tryListening();
      expect(clients[0]!.end).toHaveBeenCalledTimes(1);
      await wakeUps.ensureListening();
      await wakeUps.tryListening();
      expect(clients[1]!.end).not.toHaveBeenCalled();
    });
  });

  it('does not listen behind a pooler in transaction mode, and says so', async () => {
    const { wakeUps, newClient, sent } = setup('transaction');
    await wakeUps.ensureListening();
    await wakeUps.tryListening();
    expect(newClient).not.toHaveBeenCalled();
    expect(wakeUps.degraded).toMatch(/^no notifications: .*pooler in transaction mode/);
    // Others may listen without a pooler in between.
    wakeUps.sendReady();
    await turns();
    expect(sent()).toEqual(['ready']);
    expect(logs).toEqual([]);
  });

  it('ends its connection with stop, and opens none after it', async () => {
    const { wakeUps, clients, newClient } = setup();
    await wakeUps.ensureListening();
    await wakeUps.stop();
    expect(clients[0]!.end).toHaveBeenCalledTimes(1);
    await wakeUps.ensureListening();
    expect(newClient).toHaveBeenCalledTimes(1);
  });
});
