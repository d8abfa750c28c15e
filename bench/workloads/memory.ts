import { setTimeout as delay } from 'node:timers/promises';
import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import { fill } from '../harness/fill.ts';
import { settle } from '../harness/store.ts';
import { checkStore } from '../harness/tracker.ts';
import { WorkerProcess } from '../harness/workers.ts';
import type { Workload } from './workload.ts';

const FULL = '100,000 waiting';
const tasks = (short: boolean) => (short ? 500 : 100_000);

export const memory: Workload = {
  name: 'memory',
  title: 'Memory of a worker process',
  text:
    'Resident memory of a process with 5 workers, some seconds after its start: with an empty queue, and with 100,000 ' +
    'tasks waiting while all its workers are busy. What the database or Redis needs is not in it: a queue in Redis is in ' +
    'memory there.',
  contestants: CATALOGUE.filter(({ limit }) => !limit).map(({ name }) => name),
  variants: ['empty', FULL],
  metrics: [{ key: 'megabytes', label: 'MB', digits: 0 }],
  ratio: 'turnpike',
  prepared: FULL,
  async prepare({ contestant: name, url, short }) {
    const contestant = await entryOf(name).load();
    await contestant.connect(url, 'all');
    await fill(contestant, 0, tasks(short));
    await settle(url);
    await contestant.close();
  },
  async measure({ contestant: name, url, short, variant }) {
    const contestant = await entryOf(name).load();
    await contestant.connect(url, 'all');
    const worker = await WorkerProcess.spawn({ contestant: name, url, setting: 'five', mode: 'hold' });
    try {
      await worker.start();
      await delay(short ? 300 : 2_000);
      const bytes = await worker.memory();
      await checkStore(contestant, { unfinished: variant === FULL ? tasks(short) : 0, finished: 0 });
      await contestant.close();
      return { megabytes: bytes / 1024 / 1024 };
    } finally {
      await worker.kill();
    }
  },
};
