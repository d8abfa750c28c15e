import type { Line } from '../../queue/store/line-store.js';
import { endOf, expectationOf, percentile } from './expectation.js';
import type { Blocker } from './why.dto.js';

const NOW = new Date('2026-01-31T12:00:00Z');
const LINE: Line = {
  ...{ now: NOW, ready: true, before: 0, blocked: null, leased_to: null, due_at: null, key: null, slots: null },
  ...{ holders: null, before_for_key: null, pause: null, instances: 1, workers: 4, busy: 4 },
};
const blocker = (code: string, changes: Partial<Blocker> = {}): Blocker => ({ code, message: '', ...changes });
/** Ten runs: p50 is 10 s, p90 50 s. */
const RUNS = [10, 10, 10, 10, 10, 10, 10, 10, 50, 100].map((seconds) => seconds * 1_000);
const HISTORY = { scope: 'app', durations: RUNS } as const;
const NONE = { scope: 'workflow', durations: [] } as const;
const inSeconds = (at: Date | undefined) => at && (at.getTime() - NOW.getTime()) / 1_000;

test('percentiles are values that occurred', () => {
  expect(percentile(RUNS, 0.5)).toBe(10_000);
  expect(percentile([...RUNS].reverse(), 0.9)).toBe(50_000);
  expect([0, 0.5, 1].map((share) => percentile([7], share))).toEqual([7, 7, 7]);
});

describe('the start', () => {
  it.each([
    ['at once where workers are free for all before it', { busy: 2, before: 1 }, [0, 0]],
    ['when one of the busy workers is free', { busy: 4, before: 0 }, [2.5, 12.5]],
    ['after those before it too', { busy: 3, before: 8 }, [20, 100]],
  ])('is %s', (_, changes, expected) => {
    const found = expectationOf(blocker('all_busy'), { ...LINE, ...changes }, HISTORY, RUNS);
    expect([found.starts_at!.p50, found.starts_at!.p90].map(inSeconds)).toEqual(expected);
    expect(inSeconds(found.ends_at!.p50)).toBe(expected[0]! + 10);
    expect(inSeconds(found.ends_at!.p90)).toBe(expected[1]! + 50);
    expect(found).toMatchObject({ reason: null, based_on: { scope: 'app', runs: 10, p50_ms: 10_000, p90_ms: 50_000 } });
  });

  it('goes by all runs of the queue, the end by those of the workflow', () => {
    const { starts_at, ends_at } = expectationOf(blocker('all_busy'), LINE, HISTORY, [4_000]);
    expect([starts_at!.p50, ends_at!.p50].map(inSeconds)).toEqual([1, 11]);
  });

  it('is known without any history where nothing must end before; the end is not', () => {
    const { starts_at, ends_at, based_on, reason } = expectationOf(blocker('next'), { ...LINE, busy: 0 }, NONE, []);
    expect([inSeconds(starts_at!.p50), ends_at, based_on]).toEqual([0, null, null]);
    expect(reason).toContain('no run of this workflow has completed');
  });

  it('is not known without a history where something must end before', () => {
    expect(expectationOf(blocker('all_busy'), LINE, NONE, [])).toMatchObject({ starts_at: null, ends_at: null });
  });

  it('behind a concurrency key goes by the key and its limit', () => {
    const line = { ...LINE, key: 'k', slots: 2, before_for_key: 3, before: null };
    const { starts_at } = expectationOf(blocker('key_held'), line, HISTORY, []);
    expect(inSeconds(starts_at!.p50)).toBe(20);
  });

  it.each([60, -60])('of a scheduled task is when it is due, or now (%i s)', (seconds) => {
    const run_at = new Date(NOW.getTime() + seconds * 1_000);
    const { starts_at } = expectationOf(blocker('due_at', { run_at }), LINE, HISTORY, RUNS);
    expect(inSeconds(starts_at!.p90)).toBe(Math.max(0, seconds));
  });

  it.each(['paused', 'waiting_for_approval', 'no_live_worker'])('is not known while it is %s', (code) => {
    const { starts_at, ends_at, reason } = expectationOf(blocker(code), LINE, HISTORY, RUNS);
    expect([starts_at, ends_at]).toEqual([null, null]);
    expect(reason).toMatch(/^not before/);
  });
});

describe('the end of a run', () => {
  const started = (secondsAgo: number) => new Date(NOW.getTime() - secondsAgo * 1_000);

  it('goes by the runs that took longer than it has so far', () => {
    expect(inSeconds(endOf(started(5), NOW, HISTORY).ends_at!.p50)).toBe(5);
    expect(inSeconds(endOf(started(20), NOW, HISTORY).ends_at!.p50)).toBe(30);
  });

  it('is not known where it has outlived them all, or there are none', () => {
    expect(endOf(started(500), NOW, HISTORY)).toMatchObject({
      ends_at: null,
      reason: expect.stringContaining('last 10 runs'),
    });
    expect(endOf(started(1), NOW, NONE)).toMatchObject({ ends_at: null, reason: expect.stringContaining('30 days') });
  });
});
