import fc from 'fast-check';
import { retryDelaySeconds } from './retry-policy.js';

const latest = () => 1;

describe('retryDelaySeconds', () => {
  it.each([
    [1, 5],
    [2, 10],
    [3, 20],
    [7, 320],
    [8, 600],
    [9, 600],
    [5_000, 600],
  ])('waits at most, after %d failures, %d seconds', (failures, seconds) => {
    expect(retryDelaySeconds(failures, latest)).toBe(seconds);
  });

  it('spreads the delay over the whole time down to zero', () => {
    expect(retryDelaySeconds(3, () => 0)).toBe(0);
    expect(retryDelaySeconds(3, () => 0.25)).toBe(5);
  });

  it('stays within its bound, whatever chance says', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), (failures) => {
        const delay = retryDelaySeconds(failures);
        return delay >= 0 && delay <= retryDelaySeconds(failures, latest);
      }),
    );
  });

  it('does not bring tasks that failed together back together', () => {
    expect(new Set(Array.from({ length: 20 }, () => retryDelaySeconds(5))).size).toBeGreaterThan(1);
  });
});
