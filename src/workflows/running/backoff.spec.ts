import type { Backoff } from '../workflow.js';
import { backoffSeconds } from './backoff.js';

const base: Backoff = { type: 'fixed', initialSeconds: 2, factor: 3, maxSeconds: 30, jitter: 'none' };

it.each<[Partial<Backoff>, number[]]>([
  [{ type: 'fixed' }, [2, 2, 2, 2]],
  [{ type: 'linear' }, [2, 4, 6, 8]],
  [{ type: 'exponential' }, [2, 6, 18, 30]],
  [{ type: 'exponential', factor: 1 }, [2, 2, 2, 2]],
])('%j waits longer and longer, up to its bound', (changes, expected) => {
  expect([1, 2, 3, 4].map((failures) => backoffSeconds({ ...base, ...changes }, failures))).toEqual(expected);
});

it('with full jitter is a random part of that', () => {
  const backoff: Backoff = { ...base, type: 'linear', jitter: 'full' };
  expect(backoffSeconds(backoff, 3, () => 0.5)).toBe(3);
  expect(backoffSeconds(backoff, 3, () => 0)).toBe(0);
});

it('does not grow beyond its bound, however often it failed', () => {
  expect(backoffSeconds({ ...base, type: 'exponential' }, 10_000)).toBe(30);
});
