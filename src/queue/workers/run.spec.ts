import { aClaimedTask, standIn, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { TaskJournal } from '../store/task-journal.js';
import type { RunLease } from '../task-handler.js';
import { Run, runKey } from './run.js';

const DAY_MS = 86_400_000;
const aRun = () =>
  new Run(
    aClaimedTask({ id: '7', leaseToken: 'token-7' }),
    standIn<RunLease>({}),
    standIn<TaskJournal>({}),
    'worker:me',
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
