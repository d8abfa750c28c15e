import { advance, recordLogs, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { SealStore } from '../store/seal-store.js';
import { Sealer } from './sealer.js';

describe('Sealer', () => {
  let logs: ReturnType<typeof recordLogs>;
  const seal = jest.fn<Promise<number>, [number]>();
  const subject = new Sealer({ seal } as unknown as SealStore);

  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
    seal.mockReset().mockResolvedValue(0);
    subject.start();
  });
  afterEach(async () => {
    await subject.stop();
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('looks every two seconds, and goes on at once while blocks are full', async () => {
    await advance(1_999);
    expect(seal).not.toHaveBeenCalled();
    seal.mockResolvedValueOnce(5_000).mockResolvedValueOnce(5_000).mockResolvedValueOnce(3);
    await advance(10);
    expect(seal).toHaveBeenCalledTimes(3);
    await advance(2_000);
    expect(seal).toHaveBeenCalledTimes(4);
  });

  it('rests less when it is far behind', async () => {
    const begun: number[] = [];
    seal.mockImplementation(() => {
      begun.push(performance.now());
      return new Promise((resolve) => setTimeout(() => resolve(5_000), 10));
    });
    await advance(2_000 + 60 * 30);
    // The block under way ends, or `stop` would wait for it.
    seal.mockResolvedValue(0);
    await advance(10);
    const gap = (n: number) => Math.round(begun[n]! - begun[n - 1]!);
    expect([gap(1), gap(10), gap(12), gap(20)]).toEqual([60, 60, 30, 30]);
  });

  it('says once that it cannot, and once that it can again', async () => {
    seal.mockRejectedValueOnce(new Error('away')).mockRejectedValueOnce(new Error('away'));
    await advance(6_100);
    expect(logs).toMatchObject([
      { level: 'warn', msg: 'The ledger cannot be sealed', error: 'Error: away' },
      { level: 'log', msg: 'The ledger is being sealed again' },
    ]);
  });

  it('waits for the block under way when it stops, and seals no more', async () => {
    await advance(2_000);
    await subject.stop();
    await advance(10_000);
    expect(seal).toHaveBeenCalledTimes(1);
  });
});
