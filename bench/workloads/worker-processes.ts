import { CATALOGUE, entryOf } from '../contestants/catalogue.ts';
import { fill } from '../harness/fill.ts';
import { settle } from '../harness/store.ts';
import { checkCounts, checkStore, untilDrained } from '../harness/tracker.ts';
import { WorkerProcess } from '../harness/workers.ts';
import { RATE, type Workload } from './workload.ts';

const SECONDS = 2.5;
/** Of the time that all work: not counted, as the processes warm up. */
const WARM_UP = 0.2;
const PATIENCE_MS = 120_000;

export const workerProcesses: Workload = {
  name: 'worker-processes',
  title: '1, 2 and 4 worker processes',
  text:
    'Processes with 5 workers each drain one queue together. The clock runs from shortly after all of them work until ' +
    'the last outcome is committed; no task may be run twice.',
  contestants: CATALOGUE.filter(({ limit }) => !limit).map(({ name }) => name),
  variants: ['1 process', '2 processes', '4 processes'],
  metrics: [RATE],
  ratio: 'first variant',
  async measure(job) {
    const entry = entryOf(job.contestant);
    const processes = parseInt(job.variant, 10);
    const total = job.short ? 60 * processes : Math.ceil(entry.pace.five * SECONDS * Math.sqrt(processes));
    const contestant = await entry.load();
    await contestant.connect(job.url, 'all');
    await fill(contestant, 0, total);
    await settle(job.url);

    const order = { ...job, setting: 'five', mode: 'count' } as const;
    const workers = await Promise.all(Array.from({ length: processes }, () => WorkerProcess.spawn(order)));
    try {
      await Promise.all(workers.map((worker) => worker.start()));
      await untilRun(workers, total);
      const drainedAt = await untilDrained(contestant);
      const reports = await Promise.all(workers.map((worker) => worker.report()));

      const counts = new Uint8Array(total);
      for (const [n] of reports.flat()) counts[n]!++;
      checkCounts(counts);
      await checkStore(contestant, { unfinished: 0, finished: total });
      const together = Math.max(...reports.map((runs) => runs[0]?.[1] ?? 0));
      const begun = together + (job.short ? 0 : WARM_UP * (drainedAt - together));
      const counted = reports.flat().filter(([, at]) => at >= begun).length;
      return { rate: (counted * 1_000) / (drainedAt - begun) };
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      await contestant.close();
    }
  },
};

async function untilRun(workers: readonly WorkerProcess[], total: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  const runs = () => workers.reduce((sum, worker) => sum + worker.count, 0);
  while (runs() < total) {
    if (performance.now() > deadline) throw new Error(`only ${runs()} of ${total} tasks were run`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
