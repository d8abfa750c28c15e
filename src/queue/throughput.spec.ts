import { Throughput } from './throughput.js';

describe('Throughput', () => {
  it('is unknown until two samples lie a second apart', () => {
    const throughput = new Throughput();
    expect(throughput.completedPerMinute).toBeNull();
    throughput.observe(10, 10, 0);
    throughput.observe(20, 20, 999);
    expect([throughput.completedPerMinute, throughput.endedPerSecond]).toEqual([null, null]);
    throughput.observe(20, 25, 1_000);
    expect([throughput.completedPerMinute, throughput.endedPerSecond]).toEqual([600, 15]);
  });

  it('speaks of the last two minutes', () => {
    const throughput = new Throughput();
    for (let second = 0; second <= 300; second++) {
      const tasks = second <= 180 ? second * 100 : 18_000 + (second - 180);
      throughput.observe(tasks, tasks, second * 1_000);
    }
    expect(throughput.endedPerSecond).toBe(1);
    expect(throughput.completedPerMinute).toBe(60);
  });

  it('is never negative, though the counters were corrected', () => {
    const throughput = new Throughput();
    throughput.observe(10, 10, 0);
    throughput.observe(5, 5, 2_000);
    expect(throughput.endedPerSecond).toBe(0);
  });
});
