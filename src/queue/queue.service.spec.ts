import { Test } from '@nestjs/testing';
import type { EntityManager } from 'typeorm';
import { deferred, queueOptions, recordLogs, rowOf, standIn, turns, watch } from '../../test/support/queue-doubles.js';
import { Backpressure, QueueFullError } from './backpressure.js';
import { EnqueueBatcher, type StoredOnce } from './enqueue-batcher.js';
import { IdempotencyConflictError } from './idempotency.js';
import { Maintenance } from './maintenance/maintenance.js';
import { Pauses } from './maintenance/pauses.js';
import { Sweep } from './maintenance/sweep.js';
import { MetricsCollector } from './metrics-collector.js';
import { InvalidTaskError, type EncodedTask, type KeyedTask, type NewTask } from './new-task.js';
import { QUEUE_OPTIONS } from './queue-options.js';
import { QueueRuntime } from './queue-runtime.js';
import { QueueService } from './queue.service.js';
import { KeyBusyError, QueueDrainingError, TaskNotFoundError, TaskStateError } from './queue-errors.js';
import { IdempotencyStore, type NotedKey } from './store/idempotency-store.js';
import { StatsStore } from './store/stats-store.js';
import type { KeyMate } from './store/task-changes.js';
import { TaskStore } from './store/task-store.js';
import type { TaskStatus } from './task-status.js';
import { TaskHandler } from './task-handler.js';
import { Claimer } from './workers/claimer.js';
import { WakeUps } from './workers/wake-ups.js';

const TASK: NewTask = { appName: 'shop', workflowName: 'deploy', workflowSpec: {}, requestId: 'req-1' };
const ANN = { actor: 'ann', requestId: 'req-2' };
const OPTIONS = queueOptions();
const MATE = { leaving: false, newer: false, replaces: false };

async function setup() {
  const store = {
    enqueueWith: jest.fn<Promise<void>, [EntityManager, readonly EncodedTask[]]>(async () => undefined),
    lookAt: jest.fn<Promise<{ id: string; status: TaskStatus } | undefined>, [string]>(async () => ({
      id: '7',
      status: 'running',
    })),
    specOf: jest.fn(async () => ({ steps: [] })),
    cancelIdle: jest.fn<Promise<string | undefined>, unknown[]>(async () => undefined),
    requestCancel: jest.fn<Promise<string | undefined>, unknown[]>(async () => undefined),
    redrive: jest.fn<Promise<boolean>, unknown[]>(async () => true),
    enqueueUnlessBusy: jest.fn<Promise<boolean>, [EncodedTask]>(async () => true),
    holdersOf: jest.fn<Promise<string[]>, unknown[]>(async () => ['task-1']),
    othersOfKey: jest.fn<Promise<KeyMate[]>, unknown[]>(async () => []),
  };
  const batcher = {
    enqueue: jest.fn<Promise<number>, [EncodedTask]>(async () => 7),
    enqueueOnce: jest.fn<Promise<StoredOnce>, [KeyedTask]>(async ({ taskId, idempotency: { bodyHash } }) => ({
      earliest: 7,
      noted: { taskId, bodyHash, facts: null },
    })),
  };
  const keys = {
    enqueueWith: jest.fn<Promise<NotedKey[]>, unknown[]>(),
    read: jest.fn<Promise<NotedKey | undefined>, unknown[]>(async () => undefined),
  };
  const backpressure = { refusal: jest.fn<Promise<Error | undefined>, unknown[]>(async () => undefined) };
  const stats = { read: jest.fn(async () => ({ queue_size: 3 })), readActive: jest.fn(async () => ({ count: 0 })) };
  const runtime = { draining: false, drain: jest.fn(async () => undefined) };
  const claimer = { wake: jest.fn() };
  const maintenance = { lookAgain: jest.fn() };
  const sweep = { sweepTasks: jest.fn<Promise<number>, unknown[]>(async () => 1) };
  const pauses = {
    pause: jest.fn<Promise<boolean>, unknown[]>(async () => true),
    resume: jest.fn<Promise<boolean>, unknown[]>(async () => true),
    list: jest.fn(async () => []),
  };
  const wakeUps = {
    ...{ sendReady: jest.fn(), sendCancel: jest.fn(), sendDue: jest.fn() },
    degraded: undefined as string | undefined,
  };
  const handler = { cleansUp: jest.fn(() => false) };
  const module = await Test.createTestingModule({
    providers: [
      QueueService,
      MetricsCollector,
      { provide: TaskStore, useValue: store },
      { provide: EnqueueBatcher, useValue: batcher },
      { provide: IdempotencyStore, useValue: keys },
      { provide: Backpressure, useValue: backpressure },
      { provide: StatsStore, useValue: stats },
      { provide: QueueRuntime, useValue: runtime },
      { provide: Claimer, useValue: claimer },
      { provide: Maintenance, useValue: maintenance },
      { provide: Sweep, useValue: sweep },
      { provide: Pauses, useValue: pauses },
      { provide: WakeUps, useValue: wakeUps },
      { provide: TaskHandler, useValue: handler },
      { provide: QUEUE_OPTIONS, useValue: OPTIONS },
    ],
  }).compile();
  const woken = () => [
    claimer.wake.mock.calls.length,
    maintenance.lookAgain.mock.calls.length,
    wakeUps.sendReady.mock.calls.length,
  ];
  return {
    logs: recordLogs(),
    queue: module.get(QueueService),
    metrics: module.get(MetricsCollector),
    store,
    batcher,
    keys,
    backpressure,
    stats,
    runtime,
    sweep,
    pauses,
    wakeUps,
    woken,
  };
}

describe('QueueService', () => {
  afterEach(() => jest.restoreAllMocks());

  describe('enqueue', () => {
    it('answers with the id when the row is committed, and only then tells anybody', async () => {
      const { logs, queue, batcher, metrics, woken } = await setup();
      metrics.observeQueueSize(0);
      const commit = deferred<number>();
      batcher.enqueue.mockReturnValueOnce(commit.promise);
      const result = watch(queue.enqueue(TASK));
      await turns();
      expect(result.state).toBe('pending');
      expect(woken()).toEqual([0, 0, 0]);
      expect(logs).toEqual([]);
      commit.resolve(7);
      await turns();
      const [encoded] = batcher.enqueue.mock.calls[0]!;
      expect(result.value).toEqual({ taskId: encoded.taskId, replayed: false });
      expect(rowOf(encoded)).toMatchObject({ task_id: encoded.taskId, app_name: 'shop', promise_seconds: 600 });
      expect(woken()).toEqual([1, 0, 1]);
      expect(metrics.snapshot().enqueued).toBe(1);
      expect(logs).toEqual([
        {
          level: 'log',
          msg: 'Task enqueued',
          task_id: encoded.taskId,
          app_name: 'shop',
          workflow_name: 'deploy',
          queue_size: 1,
          request_id: 'req-1',
        },
      ]);
    });

    it('refuses a task whose key is taken where it is not to wait, and tells nobody', async () => {
      const { queue, store, batcher, woken } = await setup();
      const task: NewTask = { ...TASK, concurrency: { key: 'shop', whenFull: 'reject' } };
      await queue.enqueue(task);
      expect(batcher.enqueue).not.toHaveBeenCalled();
      expect(woken()).toEqual([1, 0, 1]);
      store.enqueueUnlessBusy.mockResolvedValue(false);
      await expect(queue.enqueue(task)).rejects.toEqual(new KeyBusyError('shop', ['task-1']));
      expect(woken()).toEqual([1, 0, 1]);
    });

    it('cancels the older tasks of the key where it replaces them: of those that run as many as there is no room for', async () => {
      const { queue, store } = await setup();
      store.othersOfKey.mockResolvedValue([
        { ...MATE, task_id: 'a', status: 'running' },
        { ...MATE, task_id: 'b', status: 'waiting' },
        { ...MATE, task_id: 'c', status: 'running' },
        { ...MATE, task_id: 'd', status: 'running', leaving: true },
        { ...MATE, task_id: 'e', status: 'pending', newer: true },
      ]);
      store.lookAt.mockImplementation(async (taskId) => ({
        id: taskId,
        status: taskId === 'b' ? 'completed' : 'pending',
      }));
      store.cancelIdle.mockResolvedValue('cancelled');
      const concurrency = { key: 'shop', limit: 2, whenFull: 'replace' } as const;
      await queue.enqueue({ ...TASK, metadata: { user: 'ann' }, concurrency });
      expect(store.cancelIdle.mock.calls.map(([id, by, , how]) => [id, by, how])).toEqual([
        ['a', { actor: 'ann' }, { cause: 'superseded', cleansUp: false }],
      ]);
    });

    it('makes way itself for a newer task that replaces it and did not see it', async () => {
      const { queue, store, batcher } = await setup();
      store.othersOfKey.mockResolvedValue([
        { ...MATE, task_id: 'a', status: 'running' },
        { ...MATE, task_id: 'z', status: 'pending', newer: true, replaces: true },
      ]);
      store.lookAt.mockImplementation(async (taskId) => ({ id: taskId, status: 'pending' }));
      store.cancelIdle.mockResolvedValue('cancelled');
      await queue.enqueue({ ...TASK, concurrency: { key: 'shop', whenFull: 'replace' } });
      const own = batcher.enqueue.mock.calls[0]![0].taskId;
      expect(store.cancelIdle.mock.calls.map(([id, , reason]) => [id, reason])).toEqual([[own, 'superseded by z']]);
    });

    it('takes part in the transaction of a manager, unbatched, and counts nothing that may be rolled back', async () => {
      const { logs, queue, store, batcher, metrics } = await setup();
      const manager = standIn<EntityManager>({});
      const { taskId } = await queue.enqueue(TASK, { manager });
      expect(batcher.enqueue).not.toHaveBeenCalled();
      expect(store.enqueueWith.mock.calls).toEqual([[manager, [expect.objectContaining({ taskId })], 'ready']]);
      expect(metrics.snapshot().enqueued).toBe(0);
      expect(logs).toEqual([]);
    });

    it.each(['with', 'without'])(
      'rejects %s a manager with the error of the database, and tells nobody',
      async (how) => {
        const { logs, queue, store, batcher, metrics, woken } = await setup();
        const away = new Error('away');
        store.enqueueWith.mockRejectedValue(away);
        batcher.enqueue.mockRejectedValue(away);
        const manager = how === 'with' ? standIn<EntityManager>({}) : undefined;
        await expect(queue.enqueue(TASK, { manager })).rejects.toBe(away);
        expect(woken()).toEqual([0, 0, 0]);
        expect(metrics.snapshot().enqueued).toBe(0);
        expect(logs).toEqual([]);
      },
    );

    it('refuses what cannot be stored before it reaches a batch', async () => {
      const { queue, batcher } = await setup();
      await expect(queue.enqueue({ ...TASK, appName: '' })).rejects.toThrow(InvalidTaskError);
      expect(batcher.enqueue).not.toHaveBeenCalled();
    });
  });

  describe('housekeeping', () => {
    it.each([
      [{ runAt: new Date() }, 1],
      [{ delaySeconds: 5 }, 1],
      [{}, 0],
    ])('is called for what is due later only: %j', async (changes, calls) => {
      const { queue, woken } = await setup();
      await queue.enqueue({ ...TASK, ...changes });
      expect(woken()).toEqual([1, calls, 1]);
    });

    it.each([
      [[{ delaySeconds: 5 }], [[5_000]]],
      [[{ delaySeconds: 50 }, { delaySeconds: 7 }, {}], [[7_000]]],
      [[{ delaySeconds: 600 }], [[600_000]]],
      [[{}], []],
    ])('of other instances is told in how long %j is due', async (changes, told) => {
      const { queue, wakeUps } = await setup();
      await queue.enqueueMany(changes.map((change) => ({ ...TASK, ...change })));
      expect(wakeUps.sendDue.mock.calls).toEqual(told);
    });

    it('of other instances is told with the commit of the caller´s transaction', async () => {
      const { queue, store } = await setup();
      const manager = {} as EntityManager;
      await queue.enqueue({ ...TASK, delaySeconds: 5 }, { manager });
      expect(store.enqueueWith.mock.calls[0]!.at(2)).toBe('due:5000');
    });
  });

  it('wakes nobody for a task that an idle worker has taken already', async () => {
    const { queue, batcher, metrics, woken } = await setup();
    batcher.enqueue.mockResolvedValueOnce(Infinity);
    await queue.enqueue(TASK);
    expect(woken()).toEqual([0, 0, 0]);
    expect(metrics.snapshot().enqueued).toBe(1);
  });

  describe('with an idempotency key', () => {
    const idempotency = { principal: 'ann', key: 'k', bodyHash: 'h' };
    const KEYED: NewTask = { ...TASK, idempotency };

    it('stores the task where the key is free', async () => {
      const { queue, batcher, metrics } = await setup();
      const { taskId, replayed } = await queue.enqueue(KEYED);
      expect(replayed).toBe(false);
      expect(batcher.enqueueOnce.mock.calls[0]![0]).toMatchObject({ taskId, idempotency });
      expect(batcher.enqueue).not.toHaveBeenCalled();
      expect(metrics.snapshot().enqueued).toBe(1);
    });

    it('answers with what stands under it, and tells nobody', async () => {
      const { logs, queue, batcher, metrics, woken } = await setup();
      const noted = { taskId: 'task-0', bodyHash: 'h', facts: { a: 1 } };
      batcher.enqueueOnce.mockResolvedValue({ earliest: 7, noted });
      expect(await queue.enqueue(KEYED)).toEqual({ taskId: 'task-0', replayed: true, facts: { a: 1 } });
      expect(await queue.enqueueMany([KEYED])).toMatchObject([{ taskId: 'task-0', replayed: true }]);
      expect(woken()).toEqual([0, 0, 0]);
      expect(metrics.snapshot().enqueued).toBe(0);
      expect(logs).toEqual([]);
    });

    it('refuses another request under it', async () => {
      const { queue, batcher } = await setup();
      batcher.enqueueOnce.mockResolvedValue({ earliest: 7, noted: { taskId: 'task-0', bodyHash: 'x', facts: null } });
      await expect(queue.enqueue(KEYED)).rejects.toThrow(IdempotencyConflictError);
      await expect(queue.enqueueMany([KEYED])).rejects.toThrow("the idempotency key 'k' was used for another request");
    });

    it('takes part in a transaction', async () => {
      const { queue, keys, store } = await setup();
      const manager = standIn<EntityManager>({});
      keys.enqueueWith.mockResolvedValue([{ taskId: 'task-0', bodyHash: 'h', facts: null }]);
      expect(await queue.enqueue(KEYED, { manager })).toEqual({ taskId: 'task-0', replayed: true });
      expect(keys.enqueueWith).toHaveBeenCalledWith(manager, [expect.objectContaining({ idempotency })], 86_400);
      expect(store.enqueueWith).not.toHaveBeenCalled();
    });

    it.each([
      ['', { key: '' }],
      ['too long', { key: 'k'.repeat(256) }],
      ['with half a pair', { key: '\ud800' }],
      ['without a principal', { principal: '' }],
      ['with facts that cannot be stored', { facts: { a: '\0' } }],
    ])('refuses one that cannot be stored: %s', async (_, wrong) => {
      const { queue } = await setup();
      const task = { ...TASK, idempotency: { ...idempotency, ...wrong } };
      await expect(queue.enqueue(task)).rejects.toThrow(InvalidTaskError);
    });
  });

  describe('where there is no room', () => {
    const full = new QueueFullError(3, 5);

    it('stores nothing, unless it must not get lost', async () => {
      const { queue, batcher, backpressure } = await setup();
      backpressure.refusal.mockResolvedValue(full);
      await expect(queue.enqueue(TASK)).rejects.toBe(full);
      await expect(queue.enqueueMany([TASK])).rejects.toBe(full);
      expect(batcher.enqueue).not.toHaveBeenCalled();
      await queue.enqueue(TASK, { evenWhenFull: true });
      await queue.enqueueMany([TASK], { evenWhenFull: true });
      expect(batcher.enqueue).toHaveBeenCalledTimes(2);
    });

    it('answers who repeats a request', async () => {
      const { queue, keys, backpressure } = await setup();
      backpressure.refusal.mockResolvedValue(full);
      const task = { ...TASK, idempotency: { principal: 'ann', key: 'k', bodyHash: 'h' } };
      await expect(queue.enqueue(task)).rejects.toBe(full);
      keys.read.mockResolvedValue({ taskId: 'task-0', bodyHash: 'h', facts: null });
      expect(await queue.enqueue(task)).toEqual({ taskId: 'task-0', replayed: true });
    });
  });

  describe('enqueueMany', () => {
    it('stores each, and gives the ids in order', async () => {
      const { queue, batcher, metrics, woken } = await setup();
      const enqueued = await queue.enqueueMany([TASK, { ...TASK, appName: 'blog' }]);
      const encoded = batcher.enqueue.mock.calls.map(([task]) => task);
      expect(encoded.map((task) => rowOf(task).app_name)).toEqual(['shop', 'blog']);
      expect(enqueued).toEqual(encoded.map(({ taskId }) => ({ taskId, replayed: false })));
      expect(metrics.snapshot().enqueued).toBe(2);
      expect(woken()).toEqual([1, 0, 1]);
    });

    it('rejects with the first error when all have been tried, and tells of those that are stored', async () => {
      const { logs, queue, batcher, metrics, woken } = await setup();
      const last = deferred<number>();
      const [first, second] = [new Error('first'), new Error('second')];
      batcher.enqueue
        .mockRejectedValueOnce(first)
        .mockResolvedValueOnce(7)
        .mockRejectedValueOnce(second)
        .mockReturnValueOnce(last.promise);
      const apps = ['a', 'b', 'c', 'd'];
      const result = watch(queue.enqueueMany(apps.map((appName) => ({ ...TASK, appName }))));
      await turns();
      expect(result.state).toBe('pending');
      last.resolve(7);
      await turns();
      expect(result).toEqual({ state: 'rejected', value: first });
      expect(metrics.snapshot().enqueued).toBe(2);
      expect(logs.map(({ app_name }) => app_name)).toEqual(['b', 'd']);
      const idOf = (index: number) => batcher.enqueue.mock.calls[index]![0].taskId;
      expect(logs.map(({ task_id }) => task_id)).toEqual([idOf(1), idOf(3)]);
      expect(woken()).toEqual([1, 0, 1]);
    });

    it('stores nothing when one of them is no valid task', async () => {
      const { queue, batcher } = await setup();
      await expect(queue.enqueueMany([TASK, { ...TASK, workflowName: 'a\0' }])).rejects.toThrow(InvalidTaskError);
      expect(batcher.enqueue).not.toHaveBeenCalled();
    });
  });

  describe('draining', () => {
    it('takes nothing new, in any way', async () => {
      const { queue, batcher, store, runtime } = await setup();
      expect(queue.draining).toBe(false);
      runtime.draining = true;
      expect(queue.draining).toBe(true);
      const manager = standIn<EntityManager>({});
      await expect(queue.enqueue(TASK)).rejects.toThrow(QueueDrainingError);
      await expect(queue.enqueue(TASK, { manager })).rejects.toThrow(QueueDrainingError);
      await expect(queue.enqueueMany([TASK])).rejects.toThrow(QueueDrainingError);
      expect(batcher.enqueue).not.toHaveBeenCalled();
      expect(store.enqueueWith).not.toHaveBeenCalled();
    });

    it('is the runtime’s to do', async () => {
      const { queue, runtime } = await setup();
      await queue.drain();
      expect(runtime.drain).toHaveBeenCalledTimes(1);
    });
  });

  it('reads the numbers of the whole cluster', async () => {
    const { queue, wakeUps } = await setup();
    const healthy = { notifications: 'on', degraded: null };
    const stats = { queue_size: 3, queue_capacity: 100_000, completed_per_minute: null };
    expect(await queue.getStats()).toEqual({ ...stats, ...healthy });
    wakeUps.degraded = 'no notifications: nothing arrives';
    expect(await queue.getStats()).toMatchObject({
      notifications: 'off',
      degraded: 'no notifications: nothing arrives',
    });
    expect(await queue.getActiveTasks()).toEqual({ count: 0 });
  });

  describe('cancel', () => {
    it('ends a task that waits at once', async () => {
      const { queue, store, wakeUps } = await setup();
      store.cancelIdle.mockResolvedValueOnce('cancelled');
      expect(await queue.cancel('task-7', ANN, 'not wanted')).toBe('cancelled');
      expect(store.lookAt.mock.calls).toEqual([['task-7']]);
      expect(store.cancelIdle.mock.calls).toEqual([['7', ANN, 'not wanted', { cause: 'cancelled', cleansUp: false }]]);
      expect(store.requestCancel).not.toHaveBeenCalled();
      expect(wakeUps.sendCancel).not.toHaveBeenCalled();
    });

    it('asks for the end of one that runs, and wakes the instance that runs it', async () => {
      const { queue, store, wakeUps } = await setup();
      store.requestCancel.mockResolvedValueOnce('them');
      expect(await queue.cancel('task-7', ANN)).toBe('running');
      expect(store.requestCancel.mock.calls).toEqual([
        ['7', ANN, 'cancelled', { cause: 'cancelled', cleansUp: false }],
      ]);
      expect(wakeUps.sendCancel.mock.calls).toEqual([['them']]);
    });

    it("hands on the cause that is to be the task's", async () => {
      const { queue, store } = await setup();
      store.requestCancel.mockResolvedValueOnce('them');
      await queue.cancel('task-7', ANN, 'a newer one', { cause: 'superseded' });
      for (const asked of [store.cancelIdle, store.requestCancel]) {
        expect(asked.mock.calls[0]![3]).toEqual({ cause: 'superseded', cleansUp: false });
      }
    });

    it.each([
      ['NUL', 'a\0b'],
      ['half of a surrogate pair', '\ud800'],
      ['too long', 'x'.repeat(2_001)],
    ])('refuses a reason that no database could store: %s', async (_, reason) => {
      const { queue, store } = await setup();
      await expect(queue.cancel('task-7', ANN, reason)).rejects.toMatchObject({
        name: 'InvalidTaskError',
        field: 'reason',
      });
      expect(store.lookAt).not.toHaveBeenCalled();
    });

    it('looks again for a task that is just changing hands', async () => {
      const { queue, store, sweep } = await setup();
      store.requestCancel.mockResolvedValueOnce(undefined).mockResolvedValueOnce('them');
      expect(await queue.cancel('task-7', ANN)).toBe('running');
      expect(store.lookAt).toHaveBeenCalledTimes(2);
      expect(store.cancelIdle).toHaveBeenCalledTimes(2);
      expect(sweep.sweepTasks).not.toHaveBeenCalled();
    });

    it('repairs the task after six looks in vain and looks once more', async () => {
      const { queue, store, sweep } = await setup();
      sweep.sweepTasks.mockImplementation(async () => {
        expect(store.lookAt).toHaveBeenCalledTimes(6);
        store.cancelIdle.mockResolvedValue('cancelled');
        return 1;
      });
      expect(await queue.cancel('task-7', ANN)).toBe('cancelled');
      expect(sweep.sweepTasks.mock.calls).toEqual([[['7'], 'ann']]);
      expect(store.lookAt).toHaveBeenCalledTimes(7);
    });

    it('gives up after that, and repairs once', async () => {
      const { queue, store, sweep } = await setup();
      await expect(queue.cancel('task-7', ANN)).rejects.toMatchObject({
        name: 'TaskStateError',
        message: expect.stringContaining('try again'),
      });
      expect(store.lookAt).toHaveBeenCalledTimes(7);
      expect(sweep.sweepTasks).toHaveBeenCalledTimes(1);
    });

    it('knows no task that is not there', async () => {
      const { queue, store } = await setup();
      store.lookAt.mockResolvedValue(undefined);
      await expect(queue.cancel('task-7', ANN)).rejects.toThrow(new TaskNotFoundError('task-7'));
      expect(store.cancelIdle).not.toHaveBeenCalled();
    });

    it.each(['completed', 'failed', 'cancelled'] as const)('has nothing to cancel when it is %s', async (status) => {
      const { queue, store } = await setup();
      store.lookAt.mockResolvedValue({ id: '7', status });
      await expect(queue.cancel('task-7', ANN)).rejects.toMatchObject({
        name: 'TaskStateError',
        taskId: 'task-7',
        status,
      });
      expect(store.cancelIdle).not.toHaveBeenCalled();
      expect(store.requestCancel).not.toHaveBeenCalled();
    });

    it('finds a task that ends between two looks', async () => {
      const { queue, store } = await setup();
      store.lookAt
        .mockResolvedValueOnce({ id: '7', status: 'running' })
        .mockResolvedValueOnce({ id: '7', status: 'completed' });
      await expect(queue.cancel('task-7', ANN)).rejects.toMatchObject({ status: 'completed' });
    });

    it('rejects with the error of the database', async () => {
      const { queue, store } = await setup();
      store.cancelIdle.mockRejectedValue(new Error('away'));
      await expect(queue.cancel('task-7', ANN)).rejects.toThrow('away');
      expect(store.cancelIdle).toHaveBeenCalledTimes(1);
    });
  });

  describe('retry', () => {
    it('sends the task through the queue again and wakes the workers', async () => {
      const { queue, store, woken } = await setup();
      await queue.retry('task-7', ANN);
      expect(store.redrive.mock.calls).toEqual([['task-7', ANN, OPTIONS.promiseSeconds, {}]]);
      expect(store.lookAt).not.toHaveBeenCalled();
      expect(woken()).toEqual([1, 0, 1]);
    });

    it('knows no task that is not there', async () => {
      const { queue, store, woken } = await setup();
      store.redrive.mockResolvedValue(false);
      store.lookAt.mockResolvedValue(undefined);
      await expect(queue.retry('task-7', ANN)).rejects.toThrow(TaskNotFoundError);
      expect(woken()).toEqual([0, 0, 0]);
    });

    it.each(['pending', 'running', 'retrying', 'waiting', 'scheduled'] as const)(
      'refuses a task that is %s',
      async (status) => {
        const { queue, store, woken } = await setup();
        store.redrive.mockResolvedValue(false);
        store.lookAt.mockResolvedValue({ id: '7', status });
        const refusal = await queue.retry('task-7', ANN).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(TaskStateError);
        expect(refusal).toMatchObject({ status, message: expect.stringContaining(`the task is ${status}`) });
        expect(woken()).toEqual([0, 0, 0]);
      },
    );
  });

  it('wakes the workers when a pause is over', async () => {
    const { queue, pauses, woken } = await setup();
    expect(await queue.pause({ appName: 'shop' }, ANN, 'why')).toBe(true);
    expect(woken()).toEqual([0, 0, 0]);
    expect(await queue.resume({ appName: 'shop' }, ANN)).toBe(true);
    expect(woken()).toEqual([1, 0, 1]);
    expect(pauses.pause.mock.calls).toEqual([[{ appName: 'shop' }, ANN, 'why']]);
  });
});
