import fc from 'fast-check';
import type { TaskFilter } from '../../../src/queue/store/list.sql.js';
import { ListStore } from '../../../src/queue/store/list-store.js';
import { TASK_STATUSES } from '../../../src/queue/task-status.js';
import { failure, aTask, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';

const fixture = useQueue();
const BY = { actor: 'ada' };
const APPS = ['shop', 'Shop-Admin', 'billing'];
const WORKFLOWS = ['golden-path-deploy-app', 'golden-path-db-lifecycle'];

/** Tasks of every app and workflow, some labelled, in every state but `waiting`. */
async function aMixedQueue(): Promise<QueueInstance> {
  const gate = fixture.gate();
  const worker = await fixture.start({
    workers: 4,
    behaviour: (run) => {
      if (run.task.metadata.is === 'running') return gate.hold(run);
      if (run.task.metadata.is === 'completed') return Promise.resolve({ status: 'completed' });
      return Promise.resolve(failure(`the registry said no to ${run.task.appName}`));
    },
  });
  const { queue } = worker;
  const kinds = ['completed', 'failed', 'retrying', 'scheduled', 'cancelled', 'completed', 'failed', 'completed'];
  for (let n = 0; n < 48; n++) {
    const is = kinds[n % kinds.length]!;
    const labels =
      n % 3 === 0 ? { labels: { team: n % 2 === 0 ? 'a' : 'b', ...(n % 4 === 0 && { tier: 'gold' }) } } : {};
    const { taskId } = await queue.enqueue(
      aTask({
        appName: APPS[((n * 7) % 5) % 3]!,
        workflowName: WORKFLOWS[n % 5 === 0 ? 1 : 0]!,
        metadata: { user: 'tester', is, ...labels },
        maxAttempts: is === 'retrying' ? 2 : 1,
        delaySeconds: is === 'scheduled' || is === 'cancelled' ? 3_600 : undefined,
      }),
    );
    if (is === 'retrying') {
      await fixture.becomes(taskId, 'retrying');
      await fixture.query(`UPDATE queue_scheduled SET run_at = now() + interval '1 hour'`);
    } else if (is === 'cancelled') await queue.cancel(taskId, BY);
    else await fixture.becomes(taskId, is as 'completed');
  }
  for (let n = 0; n < 4; n++) await queue.enqueue(aTask({ appName: 'shop', metadata: { is: 'running' } }));
  await worker.handler.run(40);
  for (let n = 0; n < 3; n++) await queue.enqueue(aTask({ appName: 'billing', metadata: { labels: { team: 'a' } } }));
  return worker;
}

const contains = (whole: string | null, part: string) => whole?.toLowerCase().includes(part.toLowerCase()) ?? false;

/** What the filter means, said a second time and without SQL. */
function expected(rows: readonly Row[], filter: TaskFilter): string[] {
  const hit = (row: Row) =>
    (filter.status === undefined || row.status === filter.status) &&
    (filter.appName === undefined || row.app_name === filter.appName) &&
    (filter.workflowName === undefined || row.workflow_name === filter.workflowName) &&
    Object.entries(filter.labels ?? {}).every(([name, value]) => row.metadata.labels?.[name] === value) &&
    (filter.since === undefined || row.enqueued_at >= new Date(filter.since)) &&
    (filter.until === undefined || row.enqueued_at < new Date(filter.until)) &&
    (filter.text === undefined ||
      [row.task_id, row.task_id.replace('task-', '')].includes(filter.text) ||
      [row.app_name, row.workflow_name, row.error_message].some((text) => contains(text, filter.text!)));
  return rows.filter(hit).map((row) => row.id as string);
}

const maybe = <T>(values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined });

describe('the list of tasks', () => {
  it('holds what all filters say together, newest first, whatever the size of its pages', async () => {
    const { module } = await aMixedQueue();
    const lists = module.get(ListStore);
    const rows = await fixture.query('SELECT * FROM queue_tasks ORDER BY enqueued_at DESC, id DESC');
    expect(new Set(rows.map((row) => row.status))).toEqual(new Set(TASK_STATUSES.filter((s) => s !== 'waiting')));
    const times = [5, 20, 40].map((n) => rows[n]!.enqueued_at.toISOString() as string);
    const texts = ['SHOP', 'admin', 'db-life', 'Registry', 'no such thing', '%', rows[9]!.task_id as string];

    const filters = fc.record({
      status: maybe(TASK_STATUSES),
      appName: maybe([...APPS, 'nobody']),
      workflowName: maybe(WORKFLOWS),
      labels: maybe<Record<string, string>>([
        { team: 'a' },
        { team: 'b', tier: 'gold' },
        { team: 'a', tier: 'gold' },
        {},
      ]),
      since: maybe(times),
      until: maybe(times),
      text: maybe([...texts, (rows[30]!.task_id as string).slice('task-'.length)]),
    });
    const oneOf: TaskFilter[] = [
      ...TASK_STATUSES.map((status) => ({ status })),
      ...APPS.map((appName) => ({ appName })),
      ...WORKFLOWS.map((workflowName) => ({ workflowName })),
      ...texts.map((text) => ({ text })),
      ...times.flatMap((time) => [{ since: time }, { until: time }]),
      { labels: { team: 'a' } },
      { labels: { team: 'b', tier: 'gold' } },
      {},
    ];
    const agrees = async (filter: TaskFilter, limit: number) => {
      const wanted = expected(rows, filter);
      const found: string[] = [];
      for (let more = true; more;) {
        const ids = await lists.list({ filter, limit, after: found.at(-1) });
        found.push(...ids);
        more = ids.length === limit;
      }
      expect({ filter, found }).toEqual({ filter, found: wanted });
    };
    for (const filter of oneOf) await agrees(filter, 7);
    await fc.assert(fc.asyncProperty(filters, fc.integer({ min: 1, max: 20 }), agrees), { numRuns: 150 });
  });

  it('forgets a cancelled task when it is sent through the queue again', async () => {
    const { queue, module } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const cancelled = () => module.get(ListStore).list({ filter: { status: 'cancelled' }, limit: 10 });
    await queue.cancel(taskId, BY);
    expect(await cancelled()).toHaveLength(1);
    await queue.retry(taskId, BY);
    expect(await cancelled()).toEqual([]);
    expect(await fixture.query('SELECT * FROM queue_cancelled')).toEqual([]);
  });

  it('takes whatever an application calls labels, and finds those it can', async () => {
    const { queue, module } = await fixture.startApi();
    const long = 'x'.repeat(3_000);
    await queue.enqueueMany([
      aTask({ metadata: { labels: ['a'] } }),
      aTask({ metadata: { labels: 'a' } }),
      aTask({ metadata: { labels: { deep: { a: 1 }, nothing: null, long, flag: true, 'ünï \'"': 'a "b"' } } }),
    ]);
    const found = await fixture.query('SELECT name, value FROM queue_task_labels ORDER BY name');
    expect(found).toEqual([{ name: 'ünï \'"', value: 'a "b"' }]);
    const list = (labels: Record<string, string>) => module.get(ListStore).list({ filter: { labels }, limit: 10 });
    expect(await list({ 'ünï \'"': 'a "b"' })).toHaveLength(1);
    expect(await list({ flag: 'true' })).toEqual([]);
    expect(await list({ nobody: 'x' })).toEqual([]);
  });
});
