import { type Attempt, Lanes, type Share } from './lanes.js';

const times = (count: number, share: Share, lanes: Lanes, name = (n: number) => `host-${n}`): Attempt[] =>
  Array.from({ length: count }, (_, n) => lanes.begin(name(n), share));
const free = (lanes: Lanes, share: Share) => lanes.free().find((one) => one.share === share)!.free;

describe('Lanes', () => {
  it('say who is busy, and who is stuck', () => {
    const lanes = new Lanes();
    const [first, second] = times(2, 'callback.quick', lanes, () => 'a');
    lanes.begin('b', 'callback.fresh');
    lanes.slowDown(first!);
    expect(lanes.busy()).toEqual([
      { lane: 'a', underWay: 2, stuck: true },
      { lane: 'b', underWay: 1, stuck: false },
    ]);
    lanes.end(first!);
    expect(lanes.busy()[0]).toEqual({ lane: 'a', underWay: 1, stuck: false });
    lanes.end(second!);
    expect(lanes.busy().map(({ lane }) => lane)).toEqual(['b']);
  });

  it('take nothing of one share for another', () => {
    const lanes = new Lanes();
    const before = lanes.free();
    expect(before.every((share) => share.free > 0)).toBe(true);
    const taken = times(free(lanes, 'callback.fresh'), 'callback.fresh', lanes);
    expect(lanes.free()).toEqual(before.map((one) => (one.share === 'callback.fresh' ? { ...one, free: 0 } : one)));
    taken.forEach((attempt) => lanes.end(attempt));
    expect(lanes.free()).toEqual(before);
    expect(lanes.busy()).toEqual([]);
  });

  it.each(['quick', 'fresh'] as const)('give the places of slow ones to others who are %s', (pace) => {
    const lanes = new Lanes();
    const size = free(lanes, `callback.${pace}`);
    times(size, `callback.${pace}`, lanes).forEach((attempt) => lanes.slowDown(attempt));
    expect(free(lanes, `callback.${pace}`)).toBe(size);
  });

  it.each(['slow', 'hanging'] as const)('let those known to be %s keep theirs to the end', (pace) => {
    const lanes = new Lanes();
    const size = free(lanes, `webhook.${pace}`);
    const all = times(size, `webhook.${pace}`, lanes);
    all.forEach((attempt) => lanes.slowDown(attempt));
    expect([free(lanes, `webhook.${pace}`), all.some(({ cut }) => cut.signal.aborted)]).toEqual([0, false]);
  });

  it('cut off the longest wait where a crowd waits, and never one of another kind', () => {
    const lanes = new Lanes();
    const hook = lanes.begin('1', 'webhook.fresh');
    lanes.slowDown(hook);
    const all = Array.from({ length: 1_000 }, (_, n) => {
      const attempt = lanes.begin(`host-${n}`, 'callback.fresh');
      lanes.slowDown(attempt);
      return attempt;
    });
    const cut = all.filter((attempt) => attempt.cut.signal.aborted);
    expect(all.length - cut.length).toBeLessThanOrEqual(256);
    expect(cut).toEqual(all.slice(0, cut.length));
    expect(hook.cut.signal.aborted).toBe(false);
    all.forEach((attempt) => lanes.end(attempt));
    expect(lanes.busy().map(({ lane }) => lane)).toEqual(['1']);
    // Nothing of them is counted any more.
    const next = lanes.begin('a', 'callback.fresh');
    lanes.slowDown(next);
    expect(next.cut.signal.aborted).toBe(false);
  });
});
