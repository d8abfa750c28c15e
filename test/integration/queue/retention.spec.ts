import { BulkOperations } from '../../../src/queue/bulk/bulk-operations.js';
import { Pruner } from '../../../src/queue/maintenance/pruner.js';
import { RetentionStore, type PrunedTasks, type PrunePlace } from '../../../src/queue/store/retention-store.js';
import { aTask, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const DAYS = 30;
const HANGS_ON_TASKS = [
  ...['queue_task_steps', 'queue_task_logs', 'queue_task_labels', 'queue_task_decisions'],
  ...['queue_dead_letters', 'queue_cancelled'],
];

const retentionOf = ({ module }: QueueInstance) => module.get(RetentionStore, { strict: false });

/** Removes all that is too old; how many tasks. */
async function prune(instance: QueueInstance, batch = 100): Promise<number> {
  const store = retentionOf(instance);
  let [removed, after]: [number, PrunePlace | undefined] = [0, undefined];
  do {
    const pruned: PrunedTasks | undefined = await store.tasks(DAYS, after, batch, 'pruner:me');
    removed += pruned!.removed;
    after = pruned!.next;
  } while (after);
  return removed;
}

/** As if these tasks, or all, had been there so many days longer. */
async function age(days: number, taskIds?: readonly string[]): Promise<void> {
  const moved = ['enqueued_at', 'completed_at', 'updated_at'].map((column) => `${column} = ${column} - $1::interval`);
  const only = 'WHERE $2::text[] IS NULL OR task_id = ANY($2)';
  await fixture.query(`UPDATE queue_tasks SET ${moved.join(', ')} ${only}`, [`${days} days`, taskIds ?? null]);
  await fixture.query(
    `UPDATE queue_task_labels l SET enqueued_at = t.enqueued_at FROM queue_tasks t WHERE t.id = l.id`,
  );
}

/** One task for each way to end, each with rows in all the tables that have some of it. */
async function ended(instance: QueueInstance) {
  const { queue, handler } = instance;
  const enqueue = async (workflowName: string) =>
    (await queue.enqueue(aTask({ workflowName, metadata: { user: 'ann', labels: { team: 'a' } } }))).taskId;
  handler.behaviour = async ({ task }) => (task.workflowName === 'fails' ? failure('no') : { status: 'completed' });
  const completed = await enqueue('completes');
  const failed = await enqueue('fails');
  const later = await queue.enqueue(aTask({ runAt: new Date(Date.now() + 86_400_000) }));
  const cancelled = await queue.enqueue(aTask({ runAt: new Date(Date.now() + 86_400_000) }));
  await queue.cancel(cancelled.taskId, { actor: 'ann' });
  await fixture.becomes(completed, 'completed');
  await fixture.becomes(failed, 'failed');
  for (const taskId of [completed, failed, cancelled.taskId]) {
    await fixture.query(
      `INSERT INTO queue_task_steps (task_id, position, name, type, status, attempt) VALUES ($1, 0, 's', 'bash', 'skipped', 1)`,
      [taskId],
    );
    await fixture.query(
      `INSERT INTO queue_task_logs (task_id, attempt, step, stream, chunk) VALUES ($1, 1, 's', 'stdout', 'x')`,
      [taskId],
    );
    await fixture.query(
      `INSERT INTO queue_task_decisions (task_id, step, decision, actor) VALUES ($1, 's', 'approve', 'ann')`,
      [taskId],
    );
  }
  return { completed, failed, cancelled: cancelled.taskId, later: later.taskId };
}

const left = async () =>
  (await fixture.query('SELECT task_id FROM queue_tasks ORDER BY id')).map(({ task_id }) => task_id as string);
const count = async (table: string) => (await fixture.query(`SELECT count(*)::int AS n FROM ${table}`))[0]!.n as number;

describe('the retention of tasks', () => {
  it('removes what ended long ago, with all that hangs on it, and keeps the numbers right', async () => {
    const instance = await fixture.start();
    const { completed, failed, cancelled, later } = await ended(instance);
    await age(DAYS + 1);
    const stats = await instance.queue.getStats();
    expect(await prune(instance)).toBe(2);
    expect(await left()).toEqual([failed, later]);
    // Its dead letter has kept it. Nobody is going to retry it.
    await instance.module
      .get(BulkOperations, { strict: false })
      .start('discard', { taskIds: [failed] }, { actor: 'ann' });
    expect(await prune(instance)).toBe(1);
    expect(await left()).toEqual([later]);
    for (const table of HANGS_ON_TASKS) expect([table, await count(table)]).toEqual([table, 0]);
    const now = await instance.queue.getStats();
    expect(now).toMatchObject({
      tasks_completed: stats.tasks_completed,
      tasks_enqueued: stats.tasks_enqueued,
      dead_letters: 0,
    });
    const [counters] = await fixture.query(
      `SELECT sum(completed)::int AS completed, sum(failed)::int AS failed, sum(cancelled)::int AS cancelled FROM queue_counters`,
    );
    expect(counters).toEqual({ completed: 0, failed: 0, cancelled: 0 });
    // The ledger still has who did what, and what became of it.
    expect(await fixture.way(completed)).toBe('pending running completed');
    expect(await fixture.way(cancelled)).toBe('scheduled cancelled');
    const notes = await fixture.query(
      `SELECT actor, (detail ->> 'count')::int AS count FROM queue_task_events WHERE cause = 'tasks_pruned' ORDER BY id`,
    );
    expect(notes).toEqual([
      { actor: 'pruner:me', count: 2 },
      { actor: 'pruner:me', count: 1 },
    ]);
  });

  it('touches nothing that is younger, nor what has not ended however old it is', async () => {
    const instance = await fixture.start({ behaviour: fixture.gate().hold });
    const { queue, handler } = instance;
    const { taskId: running } = await queue.enqueue(aTask());
    await handler.run(1);
    const { taskId: scheduled } = await queue.enqueue(aTask({ runAt: new Date(Date.now() + 86_400_000) }));
    const api = await fixture.startApi();
    await queue.pause({ workflowName: 'held' }, { actor: 'ann' });
    const { taskId: pending } = await api.queue.enqueue(aTask({ workflowName: 'held' }));
    await age(1_000);
    const { taskId: young } = await queue.enqueue(aTask({ runAt: new Date(Date.now() + 86_400_000) }));
    await queue.cancel(young, { actor: 'ann' });
    await age(DAYS - 1, [young]);
    expect(await prune(instance)).toBe(0);
    expect(await left()).toEqual([running, scheduled, pending, young]);
  });

  it('walks past what it leaves, in batches of any size', async () => {
    const instance = await fixture.start();
    const tasks = await instance.queue.enqueueMany(Array.from({ length: 23 }, () => aTask()));
    const ids = tasks.map(({ taskId }) => taskId);
    await fixture.allBecome(ids, 'completed');
    await age(DAYS + 1);
    const kept = ids.filter((_, n) => n % 3 === 0);
    await age(-DAYS, kept);
    await fixture.query(
      `UPDATE queue_tasks SET enqueued_at = enqueued_at - interval '99 days' WHERE task_id = ANY($1)`,
      [kept],
    );
    expect(await prune(instance, 2)).toBe(23 - kept.length);
    expect((await left()).sort()).toEqual([...kept].sort());
  });

  it('leaves a task to which an idempotency key still leads', async () => {
    const instance = await fixture.start();
    const idempotency = { principal: 'ann', key: 'k', bodyHash: 'one' };
    const { taskId } = await instance.queue.enqueue({ ...aTask(), idempotency });
    await fixture.becomes(taskId, 'completed');
    await age(DAYS + 1);
    expect(await prune(instance)).toBe(0);
    expect(await instance.queue.enqueue({ ...aTask(), idempotency })).toMatchObject({ taskId, replayed: true });
    await fixture.query(`UPDATE queue_idempotency SET expires_at = now() - interval '1 hour'`);
    expect(await prune(instance)).toBe(1);
  });

  it('leaves a task that somebody is sending through the queue again', async () => {
    const instance = await fixture.start();
    const { taskId } = await instance.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    await age(DAYS + 1);
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN');
    await hand.query('SELECT FROM queue_tasks FOR UPDATE');
    expect(await prune(instance)).toBe(0);
    await hand.query('COMMIT');
    expect(await prune(instance)).toBe(1);
    await expect(instance.queue.retry(taskId, { actor: 'ann' })).rejects.toMatchObject({ name: 'TaskNotFoundError' });
  });

  it('leaves what webhooks have still to be told of', async () => {
    const instance = await fixture.start();
    const { taskId } = await instance.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    await age(DAYS + 1);
    const aged = `UPDATE queue_task_events SET at = at - interval '31 days'`;
    await fixture.query(`BEGIN; SET LOCAL session_replication_role = replica; ${aged}; COMMIT`);
    try {
      await fixture.query(`UPDATE webhook_cursor SET following = true, xid = '0', id = 0`);
      expect(await prune(instance)).toBe(0);
      await fixture.query(`UPDATE webhook_cursor SET xid = (SELECT max(xid) FROM queue_task_events), id = 1 << 30`);
      expect(await prune(instance)).toBe(1);
    } finally {
      await fixture.query(`UPDATE webhook_cursor SET following = false, xid = '0', id = 0`);
    }
  });

  it('is done by one instance at a time', async () => {
    const instance = await fixture.startApi();
    const hand = await fixture.hand();
    await hand.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('queue_pruner', 0))`);
    const store = retentionOf(instance);
    expect(await store.tasks(DAYS, undefined, 10, 'pruner:me')).toBeUndefined();
    expect(await store.ledger(new Date(), 'pruner:me')).toBeUndefined();
    await hand.query('COMMIT');
    expect(await store.tasks(DAYS, undefined, 10, 'pruner:me')).toEqual({ removed: 0, next: undefined });
  });
});

describe('what else goes', () => {
  it('are verbs on many tasks that ended long ago', async () => {
    const store = retentionOf(await fixture.startApi());
    const insert = `INSERT INTO queue_jobs (kind, filter, actor, status, total, created_at, ended_at)
                    VALUES ('cancel', '{}', 'ann', $1, 1, now() - interval '99 days', now() - $2::interval)`;
    await fixture.query(insert, ['completed', '31 days']);
    await fixture.query(insert, ['stopped', '31 days']);
    await fixture.query(insert, ['failed', '29 days']);
    await fixture.query(insert, ['running', null]);
    expect(await store.jobs(DAYS, 1)).toBe(1);
    expect(await store.jobs(DAYS, 10)).toBe(1);
    const kept = await fixture.query('SELECT status FROM queue_jobs ORDER BY id');
    expect(kept).toEqual([{ status: 'failed' }, { status: 'running' }]);
  });

  it('are weeks of output from which all is gone', async () => {
    const store = retentionOf(await fixture.startApi());
    const week = async (name: string, weeksAgo: number) => {
      const day = `date_trunc('week', now() AT TIME ZONE 'UTC') - ${weeksAgo} * interval '7 days'`;
      await fixture.query(`DO $$ BEGIN EXECUTE format(
        'CREATE TABLE ${name} PARTITION OF queue_task_logs FOR VALUES FROM (%L) TO (%L)',
        (${day})::text || '+00', (${day} + interval '7 days')::text || '+00'); END $$`);
    };
    await week('logs_with_rows', 3);
    await week('logs_without', 2);
    await fixture.query(
      `INSERT INTO logs_with_rows (task_id, attempt, step, stream, chunk, at)
       VALUES ('task-1', 1, 's', 'stdout', 'x', date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '20 days')`,
    );
    expect(await store.logWeeks()).toBe(1);
    expect(await store.logWeeks()).toBe(0);
    await fixture.query('DELETE FROM queue_task_logs');
    expect(await store.logWeeks()).toBe(1);
    const names = await fixture.query(
      `SELECT to_regclass('logs_with_rows') AS one, to_regclass('logs_without') AS two`,
    );
    expect(names).toEqual([{ one: null, two: null }]);
  });
});

describe('the pruner', () => {
  it('runs on an instance with workers that is told to', async () => {
    const instance = await fixture.start({ taskRetentionDays: DAYS });
    const { taskId } = await instance.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    await age(DAYS + 1);
    const pruner = instance.module.get(Pruner, { strict: false });
    await pruner.stop();
    pruner.start(0);
    await until('it is gone', async () => (await left()).length === 0);
  });
});
