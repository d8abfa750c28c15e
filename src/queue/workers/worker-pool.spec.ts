import {
  aClaimedTask,
  advance,
  deferred,
  mockSleep,
  queueOptions,
  recordLogs,
  standIn,
  useFakeTime,
  watch,
  type Deferred,
} from '../../../test/support/queue-doubles.js';
import { MetricsCollector } from '../metrics-collector.js';
import type { JournalStore } from '../store/journal-store.js';
import type { StepNote } from '../store/step-notes.js';
import type { TaskStore } from '../store/task-store.js';
import type { Finished } from '../store/task-changes.js';
import type { AbortReason, ClaimedTask, TaskHandler, TaskOutcome, TaskRun } from '../task-handler.js';
import type { Heartbeat } from './heartbeat.js';
import { runKey } from './run.js';
import type { FencedResult } from './fenced-batcher.js';
import type { StartRecord, StatusBatcher } from './status-batcher.js';
import type { WakeUps } from './wake-ups.js';

mockSleep();
const { WorkerPool } = await import('./worker-pool.js');

type Outcome = Parameters<StatusBatcher['finish']>[0];

/** A pool whose handler ends its runs when the test says so. */
function setup({ workers = 3, prefetch = 0 }: { workers?: number; prefetch?: number } = {}) {
  const handled: { run: TaskRun; end: Deferred<TaskOutcome> }[] = [];
  const handler = {
    handle: jest.fn((run: TaskRun) => {
      const end = deferred<TaskOutcome>();
      handled.push({ run, end });
      return end.promise;
    }),
  };
  const finish = jest.fn<Promise<FencedResult>, [Outcome]>(async ({ id, attempt, status }): Promise<Finished> => ({
    id,
    attempt,
    status,
    execution_time_ms: 1_234.5,
  }));
  const begin = jest.fn<StartRecord, [{ id: string; token: string; attempt: number }]>(() => recording());
  const handBack = jest.fn<
    Promise<{ id: string; status?: string }[]>,
    [{ id: string; token: string }[], string, string]
  >(async (runs) => runs);
  /** What the runs have noted of their steps and not stored. */
  const notes: StepNote[] = [];
  const flush = jest.fn(async () => undefined);
  const journalOf = jest.fn((task: ClaimedTask, _lease: unknown, _actor: string, _onLost: () => void) => ({
    of: task.id,
    flush,
    takeNotes: () => (notes.length > 0 ? Promise.resolve(notes) : undefined),
  }));
  const heartbeat = { instanceId: 'me' };
  const metrics = new MetricsCollector();
  const sendReady = jest.fn();
  const sendDue = jest.fn();
  const pool = new WorkerPool(
    standIn<TaskHandler>(handler),
    standIn<TaskStore>({ handBack, handBackUnlocked: handBack }),
    standIn<JournalStore>({ journalOf }),
    standIn<StatusBatcher>({ finish, start: begin }),
    standIn<Heartbeat>(heartbeat),
    metrics,
    standIn<WakeUps>({ sendReady, sendDue }),
    queueOptions({ workers, prefetch }),
  );
  const freed = jest.fn();
  pool.onWorkerFree(freed);
  const key = (id: string) => runKey(id, `token-${id}`);
  const start = (id: string, changes: Partial<ClaimedTask> = {}) => {
    pool.start(aClaimedTask({ id, taskId: `task-${id}`, leaseToken: `token-${id}`, ...changes }));
    return handled.at(-1)!;
  };
  /** Starts a task, aborts its run if a reason is given, ends it so, and gives what was recorded. */
  const run = async (
    outcome: TaskOutcome | Error,
    { reason, ...changes }: Partial<ClaimedTask> & { reason?: AbortReason } = {},
  ) => {
    const { end } = start('1', changes);
    if (reason) pool.abort(key('1'), reason);
    if (outcome instanceof Error) end.reject(outcome);
    else end.resolve(outcome);
    await advance();
    return finish.mock.calls[0]?.[0];
  };
  const task = (id: string) => aClaimedTask({ id, taskId: `task-${id}`, leaseToken: `token-${id}`, queueTimeMs: 5 });
  const take = (...ids: string[]) => pool.take(ids.map(task));
  return {
    pool,
    take,
    begin,
    handler,
    handled,
    finish,
    handBack,
    journalOf,
    notes,
    flush,
    heartbeat,
    metrics,
    freed,
    start,
    key,
    run,
    sendReady,
    sendDue,
  };
}

/** A start that is on its way already, unless `waits`. */
const recording = (mine: Promise<boolean> = Promise.resolve(true), waits = false): StartRecord => ({
  begunAt: 77,
  mine,
  withdraw: () => waits,
});

const FAILED: TaskOutcome = {
  status: 'failed',
  cause: 'step_failed',
  errorMessage: 'step "build" ended with exit code 1',
  retryable: true,
};
const ABORTED: TaskOutcome = { status: 'aborted' };
const COMPLETED: TaskOutcome = { status: 'completed' };

describe('WorkerPool', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('hands the task to the handler with the lease of the instance and a journal of its own', () => {
    const { start, heartbeat, journalOf } = setup();
    const { run } = start('1');
    expect(run.task.taskId).toBe('task-1');
    expect(run.lease).toBe(heartbeat);
    expect(run.journal).toMatchObject({ of: '1' });
    expect(run.signal.aborted).toBe(false);
    expect(journalOf.mock.calls).toEqual([
      [run.task, heartbeat, 'worker:me', expect.any(Function), expect.any(Function)],
    ]);
  });

  describe('records', () => {
    it('a completed run, under its lease and attempt, with the result', async () => {
      const { run, metrics } = setup();
      expect(await run({ status: 'completed', result: { url: 'x' } }, { attempt: 3, maxAttempts: 3 })).toEqual({
        id: '1',
        token: 'token-1',
        attempt: 3,
        status: 'completed',
        cause: null,
        error_message: null,
        result: { url: 'x' },
        failed: false,
        retry_seconds: null,
        wait_seconds: null,
        seen_decisions: null,
      });
      expect(metrics.snapshot()).toMatchObject({ started: 1, completed: 1, executionTimeMs: 1_235 });
      expect(logs.map(({ msg }) => msg)).toEqual(['Processing task', 'Task completed']);
    });

    it('what the run has noted of its steps and not stored, with the outcome', async () => {
      const { run, notes } = setup();
      notes.push({ position: 0, name: 'plan', type: 'bash', status: 'completed' });
      expect(await run(COMPLETED)).toMatchObject({ status: 'completed', noted: { taskId: 'task-1', notes } });
    });

    it('nothing of a run whose journal has found the lease lost', async () => {
      const { start, finish, journalOf } = setup();
      const { run, end } = start('1');
      journalOf.mock.calls[0]![3]();
      expect(run.signal.reason).toBe('lost');
      end.resolve(COMPLETED);
      await advance();
      expect(finish).not.toHaveBeenCalled();
    });

    it.each([
      ['waiting', 0],
      ['pending', 1],
    ] as const)('a run that waits, and tells of it where it is %s by then', async (status, told) => {
      const { run, sendReady, finish } = setup();
      finish.mockImplementation(async (row) => ({ id: row.id, attempt: 1, status, execution_time_ms: 0 }));
      const waiting: TaskOutcome = { status: 'waiting', seconds: 60, seenDecisions: 7 };
      const ending = { status: 'waiting', wait_seconds: 60, seen_decisions: 7, failed: false, cause: null };
      expect(await run(waiting)).toMatchObject(ending);
      expect(sendReady).toHaveBeenCalledTimes(told);
      expect(logs.at(-1)).toMatchObject({ msg: 'Task waits for a decision' });
    });

    it('a failed run whose next attempt has its own time', async () => {
      const { run } = setup();
      const failed = { ...FAILED, retryInSeconds: 42 } as TaskOutcome;
      expect(await run(failed, { maxAttempts: 3 })).toMatchObject({ status: 'retrying', retry_seconds: 42 });
    });

    it('a failed run, with cause, message and what it had so far', async () => {
      const { run, metrics } = setup();
      expect(await run({ ...FAILED, result: { steps: 1 } })).toMatchObject({
        status: 'failed',
        cause: 'step_failed',
        error_message: 'step "build" ended with exit code 1',
        result: { steps: 1 },
        failed: true,
        retry_seconds: null,
      });
      expect(metrics.snapshot()).toMatchObject({ failed: 1 });
      expect(logs.at(-1)).toMatchObject({ level: 'warn', msg: 'Task failed', cause: 'step_failed' });
    });

    it.each([
      ['throws', async (): Promise<TaskOutcome> => Promise.reject(new Error('boom'))],
      [
        'throws before it returns a promise',
        (): Promise<TaskOutcome> => {
          throw new Error('boom');
        },
      ],
    ])('a handler that %s as a failure that may be retried', async (_, handle) => {
      const { start, handler, finish } = setup();
      handler.handle.mockImplementation(handle);
      handler.handle.mockClear();
      expect(() => start('1', { maxAttempts: 2 })).not.toThrow();
      await advance();
      expect(finish.mock.calls).toMatchObject([
        [{ status: 'retrying', cause: 'step_failed', error_message: 'boom', failed: true }],
      ]);
    });

    it('a thrown string, and what PostgreSQL cannot store of it with a mark', async () => {
      const { start, finish } = setup();
      start('1').end.reject('no\0pe');
      await advance();
      expect(finish.mock.calls[0]![0].error_message).toBe('no\ufffdpe');
    });

    it('a handler that gives up unasked as a failure', async () => {
      const { run } = setup();
      expect(await run(ABORTED)).toMatchObject({ status: 'failed', cause: 'step_failed', failed: true });
    });
  });

  describe('retries', () => {
    it.each([
      { failures: 0, maxAttempts: 3, status: 'retrying', atMost: 5 },
      { failures: 1, maxAttempts: 3, status: 'retrying', atMost: 10 },
      { failures: 2, maxAttempts: 3, status: 'failed', atMost: null },
      { failures: 0, maxAttempts: 1, status: 'failed', atMost: null },
    ])('after $failures failures of $maxAttempts: $status', async ({ failures, maxAttempts, status, atMost }) => {
      jest.spyOn(Math, 'random').mockReturnValue(1);
      const { run } = setup();
      // Claims that cost nothing, a drain's for one, count as attempts and as no failures.
      const recorded = await run(FAILED, { failures, maxAttempts, attempt: 9 });
      expect(recorded).toMatchObject({ status, retry_seconds: atMost, failed: true });
    });

    it('never what another try cannot help', async () => {
      const { run } = setup();
      expect(await run({ ...FAILED, retryable: false }, { maxAttempts: 5 })).toMatchObject({
        status: 'failed',
        retry_seconds: null,
      });
    });

    it('say so in log and count', async () => {
      const { run, metrics, sendDue, finish } = setup();
      await run(FAILED, { maxAttempts: 2 });
      expect(metrics.snapshot()).toMatchObject({ retrying: 1, failed: 0 });
      // So that whoever sleeps is awake by then.
      expect(sendDue.mock.calls).toEqual([[finish.mock.calls[0]![0].retry_seconds! * 1_000]]);
      expect(logs.at(-1)).toMatchObject({ level: 'warn', msg: 'Task will be retried' });
    });
  });

  describe('a cancelled run', () => {
    it.each([
      ['stopped', ABORTED],
      ['reports its end as a failure', FAILED],
      ['throws', new Error('killed')],
    ])('that %s is cancelled, at no cost and without another try', async (_, outcome) => {
      const { run, metrics } = setup();
      expect(await run(outcome, { reason: 'cancelled', maxAttempts: 5 })).toMatchObject({
        status: 'cancelled',
        cause: 'cancelled',
        failed: false,
        retry_seconds: null,
      });
      expect(metrics.snapshot()).toMatchObject({ cancelled: 1 });
      expect(logs.at(-1)).toMatchObject({ msg: 'Task cancelled' });
    });

    it('that was done anyway is completed', async () => {
      const { run } = setup();
      expect(await run(COMPLETED, { reason: 'cancelled' })).toMatchObject({ status: 'completed', cause: null });
    });

    it('counts as what the database made of it', async () => {
      const { run, finish, metrics } = setup();
      finish.mockResolvedValueOnce({ id: '1', attempt: 1, status: 'cancelled', execution_time_ms: 1 });
      await run(FAILED);
      expect(metrics.snapshot()).toMatchObject({ cancelled: 1, failed: 0 });
    });
  });

  describe('a run that only cleans up', () => {
    const cancelling = { cause: 'superseded', reason: 'a newer one' } as const;

    it.each([COMPLETED, FAILED, ABORTED, new Error('killed')])(
      'ends as its task was cancelled: %p',
      async (outcome) => {
        const { run } = setup();
        expect(await run(outcome, { cancelling, maxAttempts: 5 })).toMatchObject({
          ...{ status: 'cancelled', cause: 'superseded', error_message: 'a newer one', failed: false },
        });
      },
    );

    it("has a limit of its own, and not the task's", async () => {
      const { start } = setup();
      const { run } = start('1', { timeoutSeconds: 1, cancelling });
      await advance(2_000);
      expect(run.signal.aborted).toBe(false);
    });
  });

  describe('a timeout', () => {
    it('is tried again as the handler says', async () => {
      const changes = { reason: 'timeout', maxAttempts: 2 } as const;
      expect(await setup().run({ ...ABORTED, retryInSeconds: 42 }, changes)).toMatchObject({
        ...{ status: 'retrying', cause: 'timeout', retry_seconds: 42 },
      });
      expect(await setup().run({ ...ABORTED, retryable: false }, changes)).toMatchObject({ status: 'failed' });
    });

    it('aborts the run when its time is up; that is a failure, and may be retried', async () => {
      const { start, finish } = setup();
      const { run, end } = start('1', { timeoutSeconds: 90, maxAttempts: 2 });
      await advance(89_999);
      expect(run.signal.aborted).toBe(false);
      await advance(1);
      expect(run.signal.reason).toBe('timeout');
      end.resolve(ABORTED);
      await advance();
      expect(finish.mock.calls).toMatchObject([
        [{ status: 'retrying', cause: 'timeout', error_message: expect.stringContaining('timeout of 90 s') }],
      ]);
    });

    it('is the last failure when no attempt is left', async () => {
      const { run } = setup();
      expect(await run(ABORTED, { reason: 'timeout', timeoutSeconds: 1 })).toMatchObject({
        status: 'failed',
        cause: 'timeout',
        retry_seconds: null,
      });
    });

    it('leaves no timer behind when the run ends before it', async () => {
      const { start } = setup();
      const { run, end } = start('1', { timeoutSeconds: 90 });
      expect(jest.getTimerCount()).toBe(1);
      end.resolve(COMPLETED);
      await advance();
      expect(jest.getTimerCount()).toBe(0);
      expect(run.signal.aborted).toBe(false);
    });

    it('is none for a task without one', () => {
      setup().start('1');
      expect(jest.getTimerCount()).toBe(0);
    });
  });

  describe('a run whose lease is lost', () => {
    it.each([
      ['stopped', ABORTED],
      ['completed', COMPLETED],
      ['failed', FAILED],
      ['threw', new Error('killed')],
    ])('writes nothing, though it %s', async (_, outcome) => {
      const { run, finish, handBack, metrics, freed } = setup();
      await run(outcome, { reason: 'lost' });
      expect(finish).not.toHaveBeenCalled();
      expect(handBack).not.toHaveBeenCalled();
      expect(metrics.snapshot()).toMatchObject({ lost: 1, completed: 0, failed: 0 });
      expect(logs.at(-1)).toMatchObject({ level: 'warn', msg: expect.stringContaining('lease was lost') });
      expect(freed).toHaveBeenCalled();
    });

    it('is known also from the answer of the database', async () => {
      const { run, finish, metrics } = setup();
      finish.mockResolvedValueOnce('lost');
      await run(COMPLETED);
      expect(metrics.snapshot()).toMatchObject({ lost: 1, completed: 0, executionTimeMs: 0 });
    });
  });

  describe('a shutdown', () => {
    it.each([
      ['stopped', ABORTED],
      ['threw', new Error('killed')],
    ])('hands the task back when its run %s', async (_, outcome) => {
      const { run, finish, flush, handBack, metrics } = setup();
      await run(outcome, { reason: 'shutdown' });
      expect(flush).toHaveBeenCalledTimes(1);
      expect(handBack.mock.calls).toEqual([[[{ id: '1', token: 'token-1' }], 'worker:me', 'handed_back']]);
      expect(finish).not.toHaveBeenCalled();
      expect(metrics.snapshot()).toMatchObject({ handedBack: 1 });
      expect(logs.at(-1)).toMatchObject({ msg: 'Task handed back' });
    });

    it.each([
      ['completed', COMPLETED],
      ['failed', FAILED],
    ])('records a run that %s in time', async (status, outcome) => {
      const { run, handBack } = setup();
      expect(await run(outcome, { reason: 'shutdown' })).toMatchObject({ status });
      expect(handBack).not.toHaveBeenCalled();
    });

    it('says that the task was cancelled where that had been asked for', async () => {
      const { run, handBack, metrics } = setup();
      handBack.mockResolvedValueOnce([{ id: '1', status: 'cancelled' }]);
      await run(ABORTED, { reason: 'shutdown' });
      expect(metrics.snapshot()).toMatchObject({ handedBack: 0, cancelled: 1 });
      expect(logs.at(-1)).toMatchObject({ msg: 'Task cancelled' });
    });

    it('counts as lost what had no lease any more to hand back', async () => {
      const { run, handBack, metrics } = setup();
      handBack.mockResolvedValueOnce([]);
      await run(ABORTED, { reason: 'shutdown' });
      expect(metrics.snapshot()).toMatchObject({ handedBack: 0, lost: 1 });
    });

    it('logs what could not be handed back, and frees the worker', async () => {
      const { run, pool, handBack } = setup();
      handBack.mockRejectedValueOnce(new Error('away'));
      await run(ABORTED, { reason: 'shutdown' });
      expect(logs.at(-1)).toMatchObject({ level: 'error', error: 'away', task_id: 'task-1' });
      expect(pool.room).toBe(3);
    });
  });

  it('logs an outcome that could not be recorded, counts nothing, and frees the worker', async () => {
    const { run, pool, finish, metrics, freed } = setup();
    finish.mockRejectedValueOnce(new Error('away'));
    await run(COMPLETED);
    expect(logs.at(-1)).toMatchObject({
      level: 'error',
      msg: 'The outcome of a task could not be recorded',
      task_id: 'task-1',
      error: 'away',
    });
    expect(metrics.snapshot()).toMatchObject({ completed: 0, lost: 0 });
    expect(pool.room).toBe(3);
    expect(freed).toHaveBeenCalled();
  });

  describe('prefetched tasks', () => {
    const ids = (handled: { run: TaskRun }[]) => handled.map(({ run }) => run.task.id);

    it('are begun in their order as handlers return, before their outcomes are recorded', async () => {
      const { pool, take, handled, finish, key } = setup({ workers: 2, prefetch: 4 });
      finish.mockReturnValue(new Promise(() => undefined));
      take('1', '2', '3', '4');
      expect(ids(handled)).toEqual(['1', '2']);
      expect(pool.room).toBe(2);
      expect(pool.keys()).toEqual(new Set(['1', '2', '3', '4'].map(key)));
      handled[1]!.end.resolve(COMPLETED);
      await advance();
      expect(ids(handled)).toEqual(['1', '2', '3']);
      expect(pool.room).toBe(2);
      expect(pool.has('4', 'token-4')).toBe(true);
    });

    it('count their time ahead of the worker as time in the queue', async () => {
      const { take, handled } = setup({ workers: 1, prefetch: 1 });
      take('1', '2');
      await advance(250);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(handled.map(({ run }) => run.task.queueTimeMs)).toEqual([5, 255]);
    });

    it('have their start recorded before their outcome, and lose that when the start is refused', async () => {
      const { take, handled, begin, finish, metrics } = setup({ workers: 1, prefetch: 1 });
      const started = deferred<boolean>();
      begin.mockReturnValueOnce(recording(started.promise));
      take('1', '2');
      expect(begin).toHaveBeenCalledWith({ id: '1', token: 'token-1', attempt: 1 });
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(finish).not.toHaveBeenCalled();
      expect(handled[0]!.run.signal.aborted).toBe(false);
      started.resolve(false);
      await advance();
      expect(handled[0]!.run.signal.reason).toBe('lost');
      expect(finish).not.toHaveBeenCalled();
      expect(metrics.snapshot()).toMatchObject({ lost: 1, completed: 0 });
    });

    it('have both recorded at once when the handler returns before their start is on its way', async () => {
      const { take, handled, begin, finish } = setup({ workers: 1, prefetch: 1 });
      begin.mockReturnValueOnce(recording(new Promise(() => undefined), true));
      take('1');
      handled[0]!.end.resolve(FAILED);
      await advance();
      expect(finish.mock.calls).toEqual([[expect.objectContaining({ id: '1', status: 'failed', begunAt: 77 })]]);
    });

    it('have their start on record when a shutdown hands them back', async () => {
      const { pool, take, handled, begin, handBack, key } = setup({ workers: 1, prefetch: 1 });
      const started = deferred<boolean>();
      begin.mockReturnValueOnce(recording(started.promise, true));
      take('1');
      pool.abort(key('1'), 'shutdown');
      handled[0]!.end.resolve(ABORTED);
      await advance();
      expect(handBack).not.toHaveBeenCalled();
      started.resolve(true);
      await advance();
      expect(handBack).toHaveBeenCalledTimes(1);
    });

    it('are left to the rescuer when their start cannot be recorded', async () => {
      const { take, handled, begin, finish, pool } = setup({ workers: 1, prefetch: 0 });
      begin.mockReturnValueOnce(recording(Promise.reject(new Error('away'))));
      take('1');
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(finish).not.toHaveBeenCalled();
      expect(logs.at(-1)).toMatchObject({ level: 'error', error: 'away', task_id: 'task-1' });
      expect(pool.room).toBe(1);
    });

    it('are not run before their start is recorded when an instance has died with them', async () => {
      const { pool, handled, begin } = setup({ workers: 1, prefetch: 1 });
      const started = deferred<boolean>();
      begin.mockReturnValueOnce(recording(started.promise));
      pool.take([aClaimedTask({ id: '1', suspect: true })]);
      await advance();
      expect(handled).toEqual([]);
      started.resolve(true);
      await advance();
      expect(ids(handled)).toEqual(['1']);
    });

    it('that run alone begin when all else is recorded, and nothing else does until they are', async () => {
      const { pool, handled, finish, take, key } = setup({ workers: 3, prefetch: 5 });
      const recorded = deferred<FencedResult>();
      finish.mockReturnValueOnce(recorded.promise);
      take('1');
      pool.take([aClaimedTask({ id: '2', leaseToken: 'token-2', alone: true })]);
      take('3', '4');
      expect(ids(handled)).toEqual(['1']);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(ids(handled)).toEqual(['1']); // it would still count a crash
      recorded.resolve('lost');
      await advance();
      expect(ids(handled)).toEqual(['1', '2']);
      expect(pool.keys()).toEqual(new Set([key('2'), key('3'), key('4')]));
      handled[1]!.end.resolve(COMPLETED);
      await advance();
      expect(ids(handled)).toEqual(['1', '2', '3', '4']);
    });

    it('that run alone leave no room and no idle worker, where nothing else is taken ahead', async () => {
      const { pool, handled } = setup({ workers: 3 });
      expect([pool.room, pool.idleWorkers, pool.isIdle]).toEqual([3, 3, true]);
      pool.start(aClaimedTask({ id: '1' }));
      pool.take([aClaimedTask({ id: '2', alone: true })]);
      expect([pool.room, pool.idleWorkers, pool.isIdle]).toEqual([0, 0, false]);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(ids(handled)).toEqual(['1', '2']);
      expect([pool.room, pool.idleWorkers, pool.isIdle]).toEqual([0, 0, false]);
      handled[1]!.end.resolve(COMPLETED);
      await advance();
      expect([pool.room, pool.idleWorkers, pool.isIdle]).toEqual([3, 3, true]);
    });

    it('that run alone leave no room where others are taken ahead either: those would have to wait for them', async () => {
      const { pool, take, handled } = setup({ workers: 3, prefetch: 5 });
      take('1');
      pool.take([aClaimedTask({ id: '2', leaseToken: 'token-2', alone: true })]);
      expect([pool.room, pool.idleWorkers]).toEqual([0, 0]);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(0);
      handled[1]!.end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(8);
    });

    it('that run alone wait for others for a lease time at most, and are begun beside them then', async () => {
      const { pool, handled, freed } = setup({ workers: 3 });
      pool.start(aClaimedTask({ id: '1' }));
      pool.take([aClaimedTask({ id: '2', alone: true })]);
      await advance(29_999);
      expect(ids(handled)).toEqual(['1']);
      freed.mockClear();
      await advance(1);
      expect(ids(handled)).toEqual(['1', '2']);
      // It is not alone, so that it keeps nobody out.
      expect([pool.room, freed.mock.calls.length]).toEqual([1, 1]);
    });

    it('that run alone keep others out for a minute at most', async () => {
      const { pool, handled, freed, take } = setup({ workers: 3, prefetch: 1 });
      pool.take([aClaimedTask({ id: '1', alone: true })]);
      take('2');
      await advance(59_999);
      expect(ids(handled)).toEqual(['1']);
      freed.mockClear();
      await advance(1);
      expect(ids(handled)).toEqual(['1', '2']);
      expect([pool.room, freed.mock.calls.length]).toEqual([2, 1]);
      // The end of the first does not end the time of one that has come after it.
      handled[1]!.end.resolve(COMPLETED);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      pool.take([aClaimedTask({ id: '3', alone: true })]);
      await advance(59_999);
      expect(pool.room).toBe(0);
    });

    it('that run alone leave room again when they are gone before they were begun', async () => {
      const { pool, key } = setup({ workers: 3 });
      pool.start(aClaimedTask({ id: '1' }));
      pool.take([aClaimedTask({ id: '2', leaseToken: 'token-2', alone: true })]);
      pool.abort(key('2'), 'cancelled');
      await advance();
      expect(pool.room).toBe(2);
    });

    it('are not run at all when an instance has died with them and their start is refused', async () => {
      const { pool, handled, begin, finish } = setup({ workers: 1, prefetch: 1 });
      begin.mockReturnValueOnce(recording(Promise.resolve(false)));
      pool.take([aClaimedTask({ id: '1', suspect: true })]);
      await advance();
      expect([handled, finish.mock.calls]).toEqual([[], []]);
      expect(pool.room).toBe(2);
    });

    it('go back when they are cancelled, and are forgotten when they are lost', async () => {
      const { pool, take, handled, handBack, key, freed } = setup({ workers: 1, prefetch: 5 });
      take('1', '2', '3', '4');
      pool.abort(key('2'), 'cancelled');
      pool.abort(key('3'), 'lost');
      expect(handBack.mock.calls).toEqual([[[{ id: '2', token: 'token-2' }], 'worker:me', 'handed_back']]);
      handled[0]!.end.resolve(COMPLETED);
      await advance();
      expect(ids(handled)).toEqual(['1', '4']);
      expect(freed).toHaveBeenCalled();
      take('5');
      pool.abortAll('lost');
      expect(pool.keys()).toEqual(new Set([key('4')]));
    });

    it('go back together, those only that no worker has begun', async () => {
      const { pool, take, handBack } = setup({ workers: 1, prefetch: 5 });
      await pool.handBackPrefetched();
      expect(handBack).not.toHaveBeenCalled();
      take('1', '2', '3');
      await pool.handBackPrefetched();
      expect(handBack.mock.calls[0]![0].map(({ id }) => id)).toEqual(['2', '3']);
      expect(pool.room).toBe(5);
    });

    it('that cannot go back are the rescuer´s', async () => {
      const { pool, take, handBack } = setup({ workers: 1, prefetch: 5 });
      handBack.mockRejectedValueOnce(new Error('away'));
      take('1', '2');
      await pool.handBackPrefetched();
      expect(logs.at(-1)).toMatchObject({ level: 'warn', error: 'away' });
    });
  });

  describe('free, keys and idle', () => {
    it('tell what runs', async () => {
      const { pool, start, key, freed } = setup();
      expect(pool.room).toBe(3);
      const first = start('1');
      start('2');
      expect(pool.room).toBe(1);
      expect(pool.keys()).toEqual(new Set([key('1'), key('2')]));
      expect(pool.has('1', 'token-1')).toBe(true);
      expect(pool.has('1', 'token-2')).toBe(false);
      first.end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(2);
      expect(pool.keys()).toEqual(new Set([key('2')]));
      expect(pool.has('1', 'token-1')).toBe(false);
      expect(freed).toHaveBeenCalled();
    });

    it('give a set that does not change under whoever holds it', () => {
      const { pool, start } = setup();
      const before = pool.keys();
      start('1');
      expect(before.size).toBe(0);
    });

    it('have the worker free when its handler has returned, before the outcome is recorded', async () => {
      const { pool, start, finish, freed } = setup();
      const commit = deferred<FencedResult>();
      finish.mockReturnValueOnce(commit.promise);
      const { end } = start('1');
      const idle = watch(pool.idle());
      end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(3);
      expect(idle.state).toBe('pending');
      expect(freed).toHaveBeenCalledTimes(1);
      commit.resolve('lost');
      await advance();
      expect(freed).toHaveBeenCalledTimes(2);
      expect(idle.state).toBe('resolved');
    });

    it('have runs and outcomes that are not recorded for at most twice the workers', async () => {
      const { pool, start, finish } = setup({ workers: 2 });
      finish.mockReturnValue(new Promise(() => undefined));
      for (const id of ['1', '2', '3']) start(id).end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(1);
      start('4').end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(0);
    });

    it('have the worker free by the time they call back', async () => {
      const { pool, start } = setup({ workers: 1 });
      let free = -1;
      pool.onWorkerFree(() => (free = pool.room));
      start('1').end.resolve(COMPLETED);
      await advance();
      expect(free).toBe(1);
    });

    it('wait for all runs, also those that began after', async () => {
      const { pool, start } = setup();
      await expect(pool.idle()).resolves.toBeUndefined();
      const first = start('1');
      const idle = watch(pool.idle());
      const second = start('2');
      first.end.resolve(COMPLETED);
      await advance();
      expect(idle.state).toBe('pending');
      second.end.resolve(COMPLETED);
      await advance();
      expect(idle.state).toBe('resolved');
    });

    it('take an old and a new run of one task for two', async () => {
      const { pool, start } = setup();
      const old = start('1', { leaseToken: 'old' });
      const again = start('1', { leaseToken: 'new' });
      pool.abort(runKey('1', 'old'), 'lost');
      expect([old.run.signal.aborted, again.run.signal.aborted]).toEqual([true, false]);
      old.end.resolve(ABORTED);
      await advance();
      expect(pool.keys()).toEqual(new Set([runKey('1', 'new')]));
    });
  });

  describe('resize', () => {
    it('to more makes room at once', () => {
      const { pool, start } = setup({ workers: 1 });
      start('1');
      expect(pool.room).toBe(0);
      pool.resize(3);
      expect([pool.room, pool.idleWorkers]).toEqual([2, 2]);
    });

    it('to fewer lets what runs go on, and takes no more until enough has ended', async () => {
      const { pool, start } = setup({ workers: 3 });
      const runs = ['1', '2', '3'].map((id) => start(id));
      pool.resize(1);
      expect(runs.map(({ run }) => run.signal.aborted)).toEqual([false, false, false]);
      expect(pool.room).toBeLessThan(0);
      for (const { end } of runs.slice(0, 2)) end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(0);
      runs[2]!.end.resolve(COMPLETED);
      await advance();
      expect(pool.room).toBe(1);
    });

    it('begins what was taken ahead; without workers it goes back', async () => {
      const { pool, take, handled, handBack } = setup({ workers: 1, prefetch: 4 });
      take('1', '2', '3');
      expect(handled).toHaveLength(1);
      pool.resize(2);
      expect(handled).toHaveLength(2);
      pool.resize(0);
      await advance();
      expect(handBack.mock.calls[0]![0]).toEqual([{ id: '3', token: 'token-3' }]);
      expect(pool.room).toBeLessThanOrEqual(0);
    });
  });

  describe('abort', () => {
    it('reaches one run, abortAll every one', () => {
      const { pool, start, key } = setup();
      const signals = ['1', '2', '3'].map((id) => start(id).run.signal);
      pool.abort(key('2'), 'cancelled');
      pool.abort('9:none', 'cancelled');
      pool.abortAll('shutdown');
      expect(signals.map(({ reason }) => reason as AbortReason)).toEqual(['shutdown', 'cancelled', 'shutdown']);
    });
  });
});
