import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import { payload } from '../contestants/contestant.ts';
import { now } from '../harness/clock.ts';
import { percentile } from '../harness/statistics.ts';
import { checkStore } from '../harness/tracker.ts';
import { P50, P99, RATE, type Workload } from './workload.ts';

const CALLERS = 64;

export const enqueue: Workload = {
  name: 'enqueue',
  title: 'Enqueue, one call a task',
  text: `${CALLERS} callers, each of which enqueues its next task when the last one is stored. No workers.`,
  contestants: CATALOGUE.map(({ name }) => name),
  variants: ['64 callers'],
  metrics: [RATE, P50, P99],
  ratio: 'turnpike',
  async measure({ contestant: name, url, short }) {
    const contestant = await entryOf(name).load();
    await contestant.connect(url, 'all');
    let stored = 0;

    /** All callers until the time is over. */
    const run = async (seconds: number): Promise<{ rate: number; waits: number[] }> => {
      const waits: number[] = [];
      const begun = now();
      const end = begun + seconds * 1_000;
      const call = async () => {
        do {
          const before = now();
          await contestant.enqueue(payload(stored++));
          waits.push(now() - before);
        } while (now() < end);
      };
      await Promise.all(Array.from({ length: CALLERS }, call));
      return { rate: (waits.length * 1_000) / (now() - begun), waits };
    };

    await run(short ? 0.01 : 0.7);
    const { rate, waits } = await run(short ? 0.05 : 3);
    await checkStore(contestant, { unfinished: stored, finished: 0 });
    await contestant.close();
    return { rate, p50: percentile(waits, 50), p99: percentile(waits, 99) };
  },
};
