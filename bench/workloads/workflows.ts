import pg from 'pg';
import { planOf } from '../contestants/turnpike-package.ts';
import { now } from '../harness/clock.ts';
import { median } from '../harness/statistics.ts';
import { count, onPostgres, settle } from '../harness/store.ts';
import { WorkflowService } from '../workflows/service.ts';
import { LINE, PRINTS, runWithXargs } from '../workflows/xargs.ts';
import { RATE, type Metric, type Workload } from './workload.ts';

const PLAN: Metric = { key: 'plan', label: 'ms to plan', digits: 2 };

interface Case {
  readonly tasks: number;
  readonly steps: number;
  /** Of a bash step; a step that costs nothing where there is none. */
  readonly script?: string;
  /** What each step prints. */
  readonly prints: string;
}

const CASES: Record<string, Case> = {
  '500 tasks of true': { tasks: 500, steps: 1, script: 'true', prints: '' },
  '500 tasks of echo': { tasks: 500, steps: 1, script: PRINTS, prints: LINE },
  '1 task of 1,000 no-ops': { tasks: 1, steps: 1_000, prints: '' },
};

export const workflows: Workload = {
  name: 'workflows',
  title: 'Steps',
  text:
    'Steps a second of a service with five workers, whose tasks are stored with one commit: tasks of one bash step beside ' +
    '`xargs -P5 -n1 bash -c` with the same script, and one task of a thousand steps that do nothing, and the time that its plan takes where each step depends on ten. The clock runs from ' +
    'the start of the first task until the last outcome is committed. Every step has its checkpoints, its ledger and its ' +
    'output stored; xargs stores nothing.',
  contestants: ['turnpike', 'xargs'],
  variants: Object.keys(CASES),
  has: (contestant, variant) => contestant === 'turnpike' || CASES[variant]!.script !== undefined,
  metrics: [RATE, PLAN],
  ratio: 'turnpike',
  async measure({ contestant, variant, url, short }) {
    const { tasks, steps, ...rest } = CASES[variant]!;
    const shrunk = (count: number, to: number) => (count === 1 ? 1 : to);
    const few: Case = { ...rest, tasks: shrunk(tasks, short ? 50 : 200), steps: shrunk(steps, short ? 50 : 200) };
    const many: Case = short ? few : { ...rest, tasks, steps };
    if (contestant === 'xargs') {
      await runWithXargs(rest.script!, few.tasks);
      return { rate: (many.tasks * 1_000) / (await runWithXargs(rest.script!, many.tasks)) };
    }
    const service = await WorkflowService.start(url);
    try {
      await run(service, url, few);
      const rate = await run(service, url, many);
      return { rate, ...(steps === 1 ? {} : { plan: planningTime(many.steps) }) };
    } finally {
      await service.stop();
    }
  },
};

/** Milliseconds to plan a workflow of so many steps, each of which depends on ten before it; the median of several. */
function planningTime(count: number): number {
  const steps = Array.from({ length: count }, (_, n) => ({
    name: `step-${n}`,
    type: 'bash',
    env: {},
    config: {},
    dependsOn: Array.from({ length: Math.min(n, 10) }, (_, back) => `step-${n - 1 - back}`),
  }));
  const times = Array.from({ length: 11 }, () => {
    const begun = now();
    planOf(steps);
    return now() - begun;
  });
  return median(times);
}

/** Runs the case on the service and checks every trace it must leave; steps a second. */
async function run(service: WorkflowService, url: string, { tasks, steps, script, prints }: Case): Promise<number> {
  const [before] = await onPostgres<{ last: string }>(url, LAST);
  await settle(url);
  const step = script === undefined ? { type: 'bench-no-op' } : { type: 'bash' };
  await service.enqueue(tasks, steps, { ...step, config: script === undefined ? {} : { command: script } });
  await untilFinished(url, tasks);
  const [found] = await onPostgres<Found>(url, foundAfter(before!.last));
  const all = tasks * steps;
  const expected = { tasks, steps: all, checkpoints: 2 * all, bytes: all * prints.length };
  const { seconds, ...traces } = found!;
  if (JSON.stringify(traces) !== JSON.stringify(expected)) {
    throw new Error(`the store holds ${JSON.stringify(traces)} instead of ${JSON.stringify(expected)}`);
  }
  return all / seconds;
}

interface Found {
  readonly tasks: number;
  readonly steps: number;
  readonly checkpoints: number;
  readonly bytes: number;
  readonly seconds: number;
}

const LAST = 'SELECT coalesce(max(id), 0) AS last FROM queue_tasks';

/** Only what ended well at the first attempt counts. */
const foundAfter = (last: string) => `
WITH task AS MATERIALIZED (
  SELECT task_id, started_at, completed_at FROM queue_tasks WHERE id > ${last} AND status = 'completed' AND attempt = 1
)
SELECT count(*)::integer AS tasks,
       (SELECT count(*)::integer FROM queue_task_steps JOIN task USING (task_id)
        WHERE status = 'completed' AND queue_task_steps.attempt = 1
          AND queue_task_steps.completed_at >= queue_task_steps.started_at) AS steps,
       (SELECT count(*)::integer FROM queue_task_events JOIN task USING (task_id) WHERE kind = 'step') AS checkpoints,
       (SELECT coalesce(sum(octet_length(chunk)), 0)::integer FROM queue_task_logs JOIN task USING (task_id)) AS bytes,
       extract(epoch FROM max(completed_at) - min(started_at))::double precision AS seconds
FROM task`;

/** On one connection: to make one for every look would cost more than the looks. */
async function untilFinished(url: string, tasks: number): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const deadline = performance.now() + 120_000;
  for (;;) {
    const left = await count(pool, 'SELECT (SELECT count(*) FROM queue_ready) + (SELECT count(*) FROM queue_leases)');
    if (left === 0) return pool.end();
    if (performance.now() > deadline) throw new Error(`${left} of ${tasks} tasks are still unfinished`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
