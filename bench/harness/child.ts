import { WORKLOADS } from '../workloads/index.ts';
import type { Job } from '../workloads/workload.ts';

/*
 * The process that does one job, so that every measurement begins with a clean heap. It is told its job in the
 * environment and answers with one message. It ends itself: some peers leave handles open.
 */

// The runner is gone: so is the reason to go on.
process.on('disconnect', () => process.exit(1));

const job = JSON.parse(process.env.BENCH_JOB!) as Job;
const workload = WORKLOADS.find(({ name }) => name === job.workload)!;

try {
  if (job.phase === 'prepare') {
    await workload.prepare!(job);
    process.send!({ metrics: {} }, () => process.exit(0));
  } else {
    const metrics = await workload.measure(job);
    process.send!({ metrics }, () => process.exit(0));
  }
} catch (error) {
  process.send!({ error: error instanceof Error ? error.stack : String(error) }, () => process.exit(1));
}
