import { entryOf } from '../contestants/catalogue.ts';
import { fill } from '../harness/fill.ts';
import { settle } from '../harness/store.ts';
import { Tracker, untilDrained } from '../harness/tracker.ts';
import { measureDrain } from './drain.ts';
import { RATE, type Workload } from './workload.ts';

const FULL = '1,000,000 finished';
const SEED = 10;

export const finishedRows: Workload = {
  name: 'finished-rows',
  title: 'Drain with 1,000,000 finished tasks in the tables',
  text:
    'The drain above at each one’s best, on empty tables and beside a million finished tasks (and their ledger, inputs ' +
    'and outputs): for those that keep them, in PostgreSQL. The ratio is that of the full tables to the empty ones.',
  contestants: ['turnpike', 'pg-boss', 'bullmq-postgres', 'dbos'],
  variants: ['empty', FULL],
  metrics: [RATE],
  ratio: 'first variant',
  prepared: FULL,
  async prepare({ contestant: name, url, short }) {
    const contestant = await entryOf(name).load();
    await contestant.connect(url, 'all');
    const tracker = new Tracker(SEED);
    await fill(contestant, 0, SEED);
    await contestant.startWorkers('five', tracker.handle);
    await tracker.allSeen();
    await untilDrained(contestant);
    await contestant.stopWorkers();
    await contestant.addFinished!(short ? 1_000 : 1_000_000);
    await settle(url);
    await contestant.close();
  },
  async measure(job) {
    const contestant = await entryOf(job.contestant).load();
    await contestant.connect(job.url, 'all');
    const rate = await measureDrain(contestant, job, 'best', (await contestant.finished()) ?? 0);
    await contestant.close();
    return { rate };
  },
};
