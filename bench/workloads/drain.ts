import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import type { Contestant, Setting } from '../contestants/contestant.ts';
import { fill } from '../harness/fill.ts';
import { settle } from '../harness/store.ts';
import { checkStore, Tracker, untilDrained } from '../harness/tracker.ts';
import { RATE, type Job, type Workload } from './workload.ts';

const SECONDS = 2.5;
const WARM_UP_SECONDS = 0.5;

const SETTINGS: Record<string, 'five' | 'ahead' | 'best'> = {
  '5 workers': 'five',
  '5 workers, batched': 'ahead',
  best: 'best',
};

export const drain: Workload = {
  name: 'drain',
  title: 'Drain',
  text:
    'Tasks that do nothing are stored, then workers start in the same process. The clock runs from the start of the ' +
    'first task until the last outcome is committed.',
  contestants: CATALOGUE.filter(({ name, limit }) => !limit || name === 'sql-coalesced').map(({ name }) => name),
  variants: ['5 workers', '5 workers, batched', 'best'],
  has: (contestant, variant) => {
    const { limit, ahead } = entryOf(contestant);
    return variant === 'best' || (!limit && (variant === '5 workers' || ahead !== undefined));
  },
  metrics: [RATE],
  ratio: 'turnpike',
  async measure(job) {
    const contestant = await entryOf(job.contestant).load();
    await contestant.connect(job.url, 'all');
    const rate = await measureDrain(contestant, job, SETTINGS[job.variant]!, 0);
    await contestant.close();
    return { rate };
  },
};

/** Warms up, fills, drains and checks. `finished`: kept tasks that are there already. */
export async function measureDrain(
  contestant: Contestant,
  { contestant: name, url, short }: Job,
  setting: 'five' | 'ahead' | 'best',
  finished: number,
): Promise<number> {
  const pace = entryOf(name).pace[setting] ?? 0;
  const [few, many] = short ? [20, 100] : [Math.ceil(pace * WARM_UP_SECONDS), Math.ceil(pace * SECONDS)];
  await drainOnce(contestant, url, setting, few);
  const rate = await drainOnce(contestant, url, setting, many);
  await checkStore(contestant, { unfinished: 0, finished: finished + few + many });
  return rate;
}

async function drainOnce(contestant: Contestant, url: string, setting: Setting, count: number): Promise<number> {
  await fill(contestant, 0, count);
  await settle(url);
  const tracker = new Tracker(count);
  await contestant.startWorkers(setting, tracker.handle);
  await tracker.allSeen();
  const drainedAt = await untilDrained(contestant);
  await contestant.stopWorkers();
  tracker.check();
  return (count * 1_000) / (drainedAt - tracker.firstAt);
}
