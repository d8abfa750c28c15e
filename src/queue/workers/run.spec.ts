import { aClaimedTask, standIn, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { TaskJournal } from '../store/task-journal.js';
import type { RunLease } from '../task-handler.js';
import { Run, runKey } from './run.js';

const DAY_MS = 86_400_000;
const aRun = (cleanUpMs?: number) =>
  new Run(
    aClaimedTask({ id: '7', leaseToken: 'token-7' }),
    standIn<RunLease>({}),
    standIn<TaskJournal>({}),
    'worker:me',
    cleanUpMs,
  );

describe('Run', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('goes by the row’s key and the lease token together', () => {
    expect(aRun().key).toBe(runKey('7', 'token-7'));
    expect(runKey('7', 'token-7')).not.toBe(runKey('7', 'token-8'));
    expect(runKey('7', 'token-7')).not.toBe(runKey('8', 'token-7'));
  });

  it('has no reason to stop until it is aborted', () => {
    const run = aRun();
    expect(run.abortReason).toBeUndefined();
    expect(run.signal.aborted).toBe(false);
  });

  it.each(['cancelled', 'timeout', 'lost', 'shutdown'] as const)('tells its handler that it is %s', (reason) => {
    const run = aRun();
    const heard = jest.fn();
    run.signal.addEventListener('abort', heard);
    run.abort(reason);
    expect(run.abortReason).toBe(reason);
    expect(run.signal.reason).toBe(reason);
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it('tells a handler that asks only after it was aborted', () => {
    const run = aRun();
    run.abort('timeout');
    expect(run.signal).toMatchObject({ aborted: true, reason: 'timeout' });
    expect(run.signal).toBe(run.signal);
  });

  it('keeps the first reason', () => {
    const run = aRun();
    run.abort('cancelled');
    run.abort('lost');
    expect(run.abortReason).toBe('cancelled');
  });

  describe('cleaning up', () => {
    it.each(['cancelled', 'timeout'] as const)('has its time after %s, from when it begins', (reason) => {
      const run = aRun(1_000);
      run.abort(reason);
      jest.advanceTimersByTime(5_000);
      const signal = run.cleanUp();
      jest.advanceTimersByTime(999);
      expect(signal.aborted).toBe(false);
      expect(run.cleanUp()).toBe(signal);
      jest.advanceTimersByTime(1);
      expect(signal.reason).toBe('cleanup_timeout');
      expect([run.isLost, run.isForOthers, run.abortReason]).toEqual([false, false, reason]);
    });

    it.each([
      ['lost', { isLost: true, isForOthers: false }],
      ['shutdown', { isLost: false, isForOthers: true }],
    ] as const)('ends when the run is %s, before or after it begins', (reason, facts) => {
      const before = aRun(1_000);
      before.abort('cancelled');
      before.abort(reason);
      expect(before.cleanUp().reason).toBe(reason);
      const after = aRun(1_000);
      after.abort('cancelled');
      const signal = after.cleanUp();
      after.abort(reason);
      expect(signal.reason).toBe(reason);
      for (const run of [before, after]) expect(run).toMatchObject({ ...facts, abortReason: 'cancelled' });
      expect(jest.getTimerCount()).toBe(0);
    });

    it('ends with a second cancel only, and not with the word of the first once more', () => {
      const run = aRun(1_000);
      run.abort('cancelled');
      const signal = run.cleanUp();
      run.abort('cancelled', { final: false });
      run.abort('timeout');
      expect(signal.aborted).toBe(false);
      run.abort('cancelled', { final: true });
      expect(signal.reason).toBe('cancelled');
    });

    it('is not for others after a timeout: the failure is on record here', () => {
      const run = aRun(1_000);
      run.abort('timeout');
      run.abort('shutdown');
      expect(run.isForOthers).toBe(false);
    });

    it('has no time where none is given, and leaves no timer behind', () => {
      expect(aRun().cleanUp().reason).toBe('cleanup_timeout');
      const run = aRun(1_000);
      run.cleanUp();
      run.stopTimers();
      expect(jest.getTimerCount()).toBe(0);
    });
  });

  describe('abortAfter', () => {
    it('aborts when the time is up, and not before', () => {
      const run = aRun();
      run.abortAfter(1_500);
      jest.advanceTimersByTime(1_499);
      expect(run.abortReason).toBeUndefined();
      jest.advanceTimersByTime(1);
      expect(run.abortReason).toBe('timeout');
    });

    it('can be ended', () => {
      const run = aRun();
      run.abortAfter(1_500)();
      expect(jest.getTimerCount()).toBe(0);
      jest.advanceTimersByTime(10_000);
      expect(run.abortReason).toBeUndefined();
    });

    it('waits longer than a timer of Node can', () => {
      const run = aRun();
      run.abortAfter(60 * DAY_MS);
      jest.advanceTimersByTime(60 * DAY_MS - 1);
      expect(run.abortReason).toBeUndefined();
      jest.advanceTimersByTime(1);
      expect(run.abortReason).toBe('timeout');
    });

    it('can be ended after the first of several timers too', () => {
      const run = aRun();
      const end = run.abortAfter(60 * DAY_MS);
      jest.advanceTimersByTime(40 * DAY_MS);
      end();
      expect(jest.getTimerCount()).toBe(0);
    });
  });
});
