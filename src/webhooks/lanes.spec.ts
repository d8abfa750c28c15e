import { Lanes } from './lanes.js';

const times = (count: number, work: () => void) => Array.from({ length: count }, work);

describe('Lanes', () => {
  it('have room for four, and for one while they fail', () => {
    const lanes = new Lanes();
    times(4, () => lanes.begin('a', false));
    expect(lanes.rooms()).toEqual([{ lane: 'a', room: 0 }]);
    lanes.end('a', { failed: false, wasSlow: false });
    expect(lanes.rooms()).toEqual([{ lane: 'a', room: 1 }]);
    times(3, () => lanes.end('a', { failed: true, wasSlow: false }));
    expect(lanes.rooms()).toEqual([{ lane: 'a', room: 1 }]);
    lanes.begin('a', false);
    expect(lanes.rooms()).toEqual([{ lane: 'a', room: 0 }]);
    lanes.end('a', { failed: false, wasSlow: false });
    expect([lanes.rooms(), lanes.free]).toEqual([[], 64]);
  });

  it('that are slow do not take the room of quick ones, up to a number', () => {
    const lanes = new Lanes();
    times(64, () => lanes.begin('a', false));
    expect(lanes.free).toBe(0);
    times(64, () => lanes.slowDown());
    expect(lanes.free).toBe(64);
    times(192, () => lanes.begin('b', false));
    times(192, () => lanes.slowDown());
    expect(lanes.free).toBe(0);
    times(64, () => lanes.end('a', { failed: true, wasSlow: true }));
    expect(lanes.free).toBe(64);
  });

  it('keep in mind only so many that fail', () => {
    const lanes = new Lanes();
    for (let n = 0; n < 1_500; n++) {
      lanes.begin(`host-${n}`, false);
      lanes.end(`host-${n}`, { failed: true, wasSlow: false });
    }
    expect(lanes.rooms()).toHaveLength(1_000);
  });
});
