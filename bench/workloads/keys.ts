import { entryOf } from '../contestants/catalogue.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { fill } from '../harness/fill.ts';
import { settle } from '../harness/store.ts';
import { checkStore, Tracker, untilDrained } from '../harness/tracker.ts';
import { RATE, type Job, type Workload } from './workload.ts';

const NO_KEYS = 'no keys';
const MANY = '1,000 keys';
const BUSY = 'beside a busy key';

const TASKS = 100_000;
const WARM_UP = 10_000;
/** Tasks that wait for the busy key, besides the one that holds it. */
const WAITING = 10_000;
const KEYS = 1_000;
const BUSY_KEY = 'busy';

export const keys: Workload = {
  name: 'keys',
  title: 'Concurrency keys',
  text:
    '100,000 tasks that do nothing drain at the best setting: without concurrency keys; spread over 1,000 keys of which ' +
    'each lets one task run at a time, over all instances; and without keys while 10,000 other tasks wait on one key ' +
    'whose holder does not end. The ratio is to the drain without keys.',
  contestants: ['turnpike'],
  variants: [NO_KEYS, MANY, BUSY],
  metrics: [RATE],
  ratio: 'first variant',
  async measure(job) {
    const contestant = await entryOf(job.contestant).load();
    await contestant.connect(job.url, 'all');
    const rate = await measureKeys(contestant, job);
    await contestant.close();
    return { rate };
  },
};

/** Warms up, fills, drains and checks. */
async function measureKeys(contestant: Contestant, { variant, url, short }: Job): Promise<number> {
  const [few, many] = short ? [20, 100] : [WARM_UP, TASKS];
  const waiting = variant !== BUSY ? 0 : short ? 50 : WAITING;
  const keyOf = variant === MANY ? (n: number) => `key-${n % KEYS}` : undefined;
  await drainOnce(contestant, url, few, 0, keyOf);
  const rate = await drainOnce(contestant, url, many, waiting, keyOf);
  // Those of the busy key that came to their turn when its holder ended at last.
  const left = await contestant.unfinished();
  const ended = waiting === 0 ? 0 : waiting + 1 - left;
  await checkStore(contestant, { unfinished: waiting === 0 ? 0 : left, finished: few + many + ended });
  return rate;
}

async function drainOnce(
  contestant: Contestant,
  url: string,
  count: number,
  waiting: number,
  keyOf?: (n: number) => string,
): Promise<number> {
  const busy = waiting > 0 ? waiting + 1 : 0;
  // Before the others, so that one of them holds the key while those drain.
  await fill(contestant, 0, busy, () => BUSY_KEY);
  await fill(contestant, 0, count, keyOf);
  await settle(url);
  const tracker = new Tracker(count);
  let letGo!: () => void;
  const end = new Promise<void>((resolve) => (letGo = resolve));
  await contestant.startWorkers('best', (task) => (task.key === BUSY_KEY ? end : tracker.handle(task)));
  await tracker.allSeen();
  const drainedAt = await untilDrained(contestant, { rest: busy });
  const stopped = contestant.stopWorkers();
  letGo();
  await stopped;
  tracker.check();
  return (count * 1_000) / (drainedAt - tracker.firstAt);
}
