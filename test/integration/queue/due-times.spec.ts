import { DataSource } from 'typeorm';
import { look } from '../../../src/queue/store/look.sql.js';
import { aTask, failure } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

/** Polls come so seldom that whatever starts in time has been started without one. */
const NO_POLL = { pollSeconds: 30, leaseSeconds: 30 };
const SOON = 10_000;

describe('a task whose time comes', () => {
  const fixture = useQueue();

  const lateness = async (taskId: string) => {
    const { started_at, run_at } = await fixture.becomes(taskId, 'completed');
    return (started_at as Date).getTime() - (run_at as Date).getTime();
  };

  it('is started then by the instance that stored it', async () => {
    const { queue } = await fixture.start(NO_POLL);
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 0.4 }));
    expect(await lateness(taskId)).toBeLessThan(SOON);
  });

  it.each([
    ['a delay', () => ({ delaySeconds: 0.4 })],
    ['a time', () => ({ runAt: new Date(Date.now() + 400) })],
  ])('by %s, is started then by an idle worker when an instance without workers stored it', async (_, when) => {
    await fixture.start(NO_POLL);
    await fixture.listening(1);
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask(when()));
    const late = await lateness(taskId);
    process.stderr.write(`a task of another instance began ${late} ms after its time (printed, not judged)\n`);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(SOON);
  });

  it('is started then when it was stored in somebody´s transaction', async () => {
    await fixture.start(NO_POLL);
    await fixture.listening(1);
    const api = await fixture.startApi();
    const { taskId } = await api.module
      .get(DataSource)
      .transaction((manager) => api.queue.enqueue(aTask({ delaySeconds: 0.4 }), { manager }));
    expect(await lateness(taskId)).toBeLessThan(SOON);
  });

  it('is started then where it is another attempt', async () => {
    const { queue, handler } = await fixture.start(NO_POLL);
    await fixture.listening(1);
    handler.behaviour = async ({ task: { attempt } }) =>
      attempt === 1 ? { ...failure('not yet'), retryInSeconds: 0.4 } : { status: 'completed' };
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2 }));
    expect(await lateness(taskId)).toBeLessThan(SOON);
    expect(await fixture.way(taskId)).toBe('pending running retrying pending running completed');
  });

  it('is started before one that was stored earlier and is due later', async () => {
    const worker = await fixture.start(NO_POLL);
    await fixture.listening(1);
    const api = await fixture.startApi();
    await api.queue.enqueue(aTask({ delaySeconds: 20 }));
    const { taskId } = await api.queue.enqueue(aTask({ delaySeconds: 0.4 }));
    expect(await lateness(taskId)).toBeLessThan(SOON);
    expect(worker.handler.runs).toHaveLength(1);
  });
});

describe('a hundred thousand tasks that are due later', () => {
  // Narrow rows without tasks: nothing but the look reads them here.
  const fixture = useQueue({ invariants: false });

  it('are one entry of an index to an idle instance', async () => {
    await fixture.query(`
      INSERT INTO queue_scheduled (id, run_at) SELECT n, now() + n * interval '1 minute' FROM generate_series(1, 100000) n`);
    await fixture.query('VACUUM ANALYZE queue_scheduled');
    const [row] = await fixture.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${look.text}`);
    const [{ Plan: plan }] = row!['QUERY PLAN'] as [{ Plan: PlanNode }];
    const scans = nodes(plan).filter((node) => node['Relation Name'] === 'queue_scheduled');
    expect(scans.map((scan) => [scan['Node Type'], scan['Index Name'], scan['Actual Rows']])).toEqual([
      ['Index Only Scan', 'queue_scheduled_due', 1],
    ]);
    expect(scans[0]!['Shared Hit Blocks'] + scans[0]!['Shared Read Blocks']).toBeLessThan(10);
  });
});

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

function nodes(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}
