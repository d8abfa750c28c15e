import { entryOf } from '../contestants/catalogue.ts';
import type { Setting } from '../contestants/contestant.ts';
import { now } from './clock.ts';

/*
 * A process that only works: told what in the environment, it starts its workers when asked to, and reports on request.
 * See workers.ts for the other end.
 */

export interface WorkerOrder {
  readonly contestant: string;
  readonly url: string;
  readonly setting: Setting;
  /** `count`: no-ops. `announce`: no-ops, each announced as it begins. `hold`: tasks that never end. */
  readonly mode: 'count' | 'announce' | 'hold';
}

/** The task's number, and when its run began. */
export type Run = readonly [n: number, at: number];

export type Request = 'start' | 'report' | 'memory';

export type Answer =
  | { readonly is: 'connected' | 'started' }
  | { readonly is: 'progress'; readonly count: number }
  | { readonly is: 'run'; readonly waited: number }
  | { readonly is: 'report'; readonly runs: Run[] }
  | { readonly is: 'memory'; readonly bytes: number };

const PROGRESS_MS = 5;

process.on('disconnect', () => process.exit(0));

const order = JSON.parse(process.env.BENCH_WORKER!) as WorkerOrder;
const answer = (message: Answer) => void process.send?.(message);
const runs: Run[] = [];
let told = 0;

const contestant = await entryOf(order.contestant).load();
await contestant.connect(order.url, 'worker');

process.on('message', (request: Request) => {
  if (request === 'start') void start();
  else if (request === 'report') answer({ is: 'report', runs });
  else answer({ is: 'memory', bytes: process.memoryUsage.rss() });
});
answer({ is: 'connected' });

async function start(): Promise<void> {
  await contestant.startWorkers(order.setting, ({ n, at }) => {
    const begun = now();
    runs.push([n, begun]);
    if (order.mode === 'announce') answer({ is: 'run', waited: begun - at });
    return order.mode === 'hold' ? new Promise<void>(() => undefined) : undefined;
  });
  answer({ is: 'started' });
  setInterval(() => {
    if (runs.length > told) answer({ is: 'progress', count: (told = runs.length) });
  }, PROGRESS_MS);
}
