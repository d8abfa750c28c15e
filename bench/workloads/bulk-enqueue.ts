import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import { payloads } from '../contestants/contestant.ts';
import { now } from '../harness/clock.ts';
import { checkStore } from '../harness/tracker.ts';
import { RATE, type Workload } from './workload.ts';

export const bulkEnqueue: Workload = {
  name: 'bulk-enqueue',
  title: 'Bulk enqueue',
  text:
    'One caller stores 1,000 tasks a call, by the package’s own call for many; DBOS and plain INSERTs have none and get ' +
    '1,000 calls at once. No workers.',
  contestants: CATALOGUE.map(({ name }) => name),
  variants: ['1,000 a call'],
  metrics: [RATE],
  ratio: 'turnpike',
  async measure({ contestant: name, url, short }) {
    const contestant = await entryOf(name).load();
    await contestant.connect(url, 'all');
    const size = short ? 50 : 1_000;
    let stored = 0;

    const run = async (seconds: number): Promise<number> => {
      const [begun, before] = [now(), stored];
      do {
        await contestant.enqueueMany(payloads(stored, stored + size));
        stored += size;
      } while (now() < begun + seconds * 1_000);
      return ((stored - before) * 1_000) / (now() - begun);
    };

    await run(short ? 0 : 0.5);
    const rate = await run(short ? 0.01 : 2.5);
    await checkStore(contestant, { unfinished: stored, finished: 0 });
    await contestant.close();
    return { rate };
  },
};
