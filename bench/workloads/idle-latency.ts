import { setTimeout as delay } from 'node:timers/promises';
import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import { payload, type Contestant } from '../contestants/contestant.ts';
import { now } from '../harness/clock.ts';
import { percentile } from '../harness/statistics.ts';
import { checkStore, untilDrained } from '../harness/tracker.ts';
import { WorkerProcess } from '../harness/workers.ts';
import { P50, P99, type Job, type Workload } from './workload.ts';

const WARM_UP = 20;
const SAMPLES = 200;
const LONGEST_PAUSE_MS = 12;

/** Enqueues the task and resolves with the milliseconds between the call and the start of its run. */
type Send = (n: number) => Promise<number>;

export const idleLatency: Workload = {
  name: 'idle-latency',
  title: 'Idle latency',
  text:
    'From the call that enqueues a task to the start of its run, with 5 workers that have nothing else to do: one task at ' +
    `a time, ${SAMPLES} of them, with random pauses of up to ${LONGEST_PAUSE_MS} ms. In one process, and from a process ` +
    'that enqueues to another that works.',
  contestants: CATALOGUE.filter(({ limit }) => !limit).map(({ name }) => name),
  variants: ['one process', 'two processes'],
  metrics: [P50, P99],
  ratio: 'turnpike',
  async measure(job) {
    const contestant = await entryOf(job.contestant).load();
    await contestant.connect(job.url, 'all');
    const measure = job.variant === 'one process' ? inOneProcess : inTwoProcesses;
    const waits = await measure(contestant, job);
    await contestant.close();
    return { p50: percentile(waits, 50), p99: percentile(waits, 99) };
  },
};

async function inOneProcess(contestant: Contestant, job: Job): Promise<number[]> {
  let onRun: () => void = () => undefined;
  await contestant.startWorkers('quick', () => onRun());
  return sendAll(contestant, job, async (n) => {
    const begun = now();
    const run = new Promise<number>((resolve) => (onRun = () => resolve(now() - begun)));
    await contestant.enqueue(payload(n));
    return run;
  });
}

async function inTwoProcesses(contestant: Contestant, job: Job): Promise<number[]> {
  const worker = await WorkerProcess.spawn({ ...job, setting: 'quick', mode: 'announce' });
  try {
    await worker.start();
    return await sendAll(contestant, job, async (n) => {
      const run = worker.next('run');
      await contestant.enqueue(payload(n));
      return (await run).waited;
    });
  } finally {
    await worker.kill();
  }
}

async function sendAll(contestant: Contestant, { short }: Job, send: Send): Promise<number[]> {
  const waits: number[] = [];
  const total = short ? 20 : WARM_UP + SAMPLES;
  for (let n = 0; n < total; n++) {
    await delay(1 + Math.random() * (LONGEST_PAUSE_MS - 1));
    waits.push(await send(n));
  }
  await untilDrained(contestant);
  await checkStore(contestant, { unfinished: 0, finished: total });
  return waits.slice(short ? 0 : WARM_UP);
}
