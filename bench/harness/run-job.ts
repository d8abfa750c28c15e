import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { Job, Metrics } from '../workloads/workload.ts';

const LIMIT_SECONDS = 300;

type Answer = { metrics: Metrics } | { error: string };

/** Does a job in a process of its own. */
export async function runJob(job: Job): Promise<Metrics> {
  const child = fork(join(import.meta.dirname, 'child.ts'), {
    env: { ...process.env, BENCH_JOB: JSON.stringify(job) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += String(chunk)));
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_SECONDS * 1_000);
  let answer: Answer | undefined;
  child.on('message', (message) => (answer = message as Answer));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);

  if (answer && 'metrics' in answer) return answer.metrics;
  const reason = answer?.error ?? `its process ended with ${code ?? `a signal after at most ${LIMIT_SECONDS} s`}`;
  throw new Error(`${reason}\n${output.trim().split('\n').slice(-20).join('\n')}`);
}
