import { LEGAL_TRANSITIONS, TASK_STATUSES, type TaskStatus } from '../../../src/queue/task-status.js';
import { useQueue } from '../../support/queue-fixture.js';

// Tasks made by hand, without narrow rows, and left in states in which the engine would not leave them.
const fixture = useQueue({ invariants: false });

/** A task in that state, by legal ways and by hand; its narrow rows are no matter here. */
async function inState(status: TaskStatus, taskId = 'task-1'): Promise<void> {
  const ways: Record<TaskStatus, TaskStatus[]> = {
    scheduled: ['scheduled'],
    pending: ['pending'],
    running: ['pending', 'running'],
    waiting: ['pending', 'running', 'waiting'],
    retrying: ['pending', 'running', 'retrying'],
    completed: ['pending', 'running', 'completed'],
    failed: ['pending', 'running', 'failed'],
    cancelled: ['pending', 'cancelled'],
  };
  const [first, ...rest] = ways[status];
  await fixture.query(
    `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, status) VALUES ($1, 'a', 'w', '{}', $2)`,
    [taskId, first],
  );
  for (const next of rest) await goes(taskId, next);
}

/** By the engine's own way to sign: within the statement. */
const goes = (taskId: string, status: string, more = '') =>
  fixture.query(
    `WITH signed AS MATERIALIZED (SELECT set_config('turnpike.actor', 'ada', true))
     UPDATE queue_tasks SET status = $2${more} FROM signed WHERE task_id = $1`,
    [taskId, status],
  );

const counted = async () => {
  const columns = [...TASK_STATUSES, 'tasks_enqueued', 'tasks_started', 'tasks_completed', 'tasks_failed'];
  columns.push('tasks_cancelled', 'runs_ended', 'queue_time_ms', 'execution_time_ms');
  const sums = columns.map((column) => `coalesce(sum(${column}), 0)::float AS ${column}`).join(', ');
  const [row] = await fixture.query(`SELECT ${sums} FROM queue_counters`);
  return Object.fromEntries(Object.entries(row!).filter(([, value]) => value !== 0));
};

const pairs = TASK_STATUSES.flatMap((from) => TASK_STATUSES.map((to) => [from, to] as const));
const isLegal = (from: TaskStatus, to: TaskStatus) => LEGAL_TRANSITIONS[from].includes(to);

describe('the transitions', () => {
  it('in the database are those of task-status.ts', async () => {
    const rows = await fixture.query('SELECT from_status, to_status FROM queue_task_transitions');
    const stored = rows.map((row) => `${row.from_status} → ${row.to_status}`).sort();
    const written = pairs.filter(([from, to]) => isLegal(from, to)).map(([from, to]) => `${from} → ${to}`);
    expect(stored).toEqual(written.sort());
  });

  it.each(pairs.filter(([from, to]) => isLegal(from, to)))('%s → %s is written down', async (from, to) => {
    await inState(from);
    await goes('task-1', to);
    expect((await fixture.task('task-1')).status).toBe(to);
    expect((await fixture.events('task-1')).at(-1)).toMatchObject({ from_status: from, to_status: to, actor: 'ada' });
    expect(await counted()).toMatchObject({ [to]: 1, tasks_enqueued: 1 });
    const states = Object.keys(await counted()).filter((name) => (TASK_STATUSES as readonly string[]).includes(name));
    expect(states).toEqual([to]);
  });

  it.each(pairs.filter(([from, to]) => !isLegal(from, to) && from !== to))('%s → %s is refused', async (from, to) => {
    await inState(from);
    const events = await fixture.events('task-1');
    const allowed = [...LEGAL_TRANSITIONS[from]].sort().join(', ');
    await expect(goes('task-1', to)).rejects.toMatchObject({
      code: 'TP001',
      message: `illegal transition: task task-1 cannot go from "${from}" to "${to}"`,
      hint: `From "${from}" it can go to: ${allowed}.`,
    });
    expect((await fixture.task('task-1')).status).toBe(from);
    expect(await fixture.events('task-1')).toEqual(events);
  });

  it.each(TASK_STATUSES)('%s → itself is no change', async (status) => {
    await inState(status);
    const events = await fixture.events('task-1');
    const counts = await counted();
    await fixture.query('UPDATE queue_tasks SET status = status, updated_at = now()');
    expect(await fixture.events('task-1')).toEqual(events);
    expect(await counted()).toEqual(counts);
  });
});

describe('an entry', () => {
  it('has an id that grows, the time, and the transaction', async () => {
    await inState('completed');
    const events = await fixture.events('task-1');
    expect(events.map((event) => event.to_status)).toEqual(['pending', 'running', 'completed']);
    const ids = events.map((event) => BigInt(event.id));
    expect([...ids].sort((a, b) => Number(a - b))).toEqual(ids);
    expect(new Set(events.map((event) => event.xid)).size).toBe(3);
    for (const { at, kind } of events) {
      expect(Math.abs(Date.now() - at)).toBeLessThan(60_000);
      expect(kind).toBe('transition');
    }
  });

  it('carries the cause of the row before that of the session, and its error message', async () => {
    await inState('running');
    const hand = await fixture.hand('ada');
    await hand.query(`SET turnpike.cause = 'by hand'`);
    await hand.query(`UPDATE queue_tasks SET status = 'failed', cause = 'timeout', error_message = repeat('x', 3000)`);
    const failed = (await fixture.events('task-1')).at(-1)!;
    expect(failed).toMatchObject({ cause: 'timeout', detail: { error_message: 'x'.repeat(2_000) } });
    await hand.query(`UPDATE queue_tasks SET status = 'pending', cause = NULL, error_message = NULL`);
    expect((await fixture.events('task-1')).at(-1)).toMatchObject({ cause: 'by hand', detail: null });
  });

  it('is one for each row of a statement', async () => {
    for (const n of [1, 2, 3]) await inState('running', `task-${n}`);
    await fixture.query(`
      WITH signed AS MATERIALIZED (SELECT set_config('turnpike.actor', 'ada', true))
      UPDATE queue_tasks SET status = CASE task_id WHEN 'task-1' THEN 'failed' ELSE 'completed' END FROM signed`);
    const ends = await Promise.all([1, 2, 3].map(async (n) => (await fixture.events(`task-${n}`)).at(-1)?.to_status));
    expect(ends).toEqual(['failed', 'completed', 'completed']);
    expect(await counted()).toMatchObject({ failed: 1, completed: 2, tasks_failed: 1, tasks_completed: 2 });
  });
});

describe('the counters', () => {
  it('add up starts, ends, and times', async () => {
    await inState('pending');
    await fixture.query(`UPDATE queue_tasks SET enqueued_at = now() - interval '1 h', run_at = now() - interval '5 s'`);
    await goes('task-1', 'running', `, started_at = run_at + interval '2 s'`);
    await goes('task-1', 'completed', `, completed_at = started_at + interval '3 s'`);
    expect(await counted()).toEqual({
      completed: 1,
      tasks_enqueued: 1,
      tasks_started: 1,
      tasks_completed: 1,
      runs_ended: 1,
      queue_time_ms: 2_000,
      execution_time_ms: 3_000,
    });
  });

  it('count no run for a task that is cancelled while it waits, or handed back', async () => {
    await inState('running');
    await goes('task-1', 'pending');
    await goes('task-1', 'cancelled', ', completed_at = now()');
    expect(await counted()).toMatchObject({ cancelled: 1, tasks_cancelled: 1, tasks_started: 1 });
    expect(await counted()).not.toHaveProperty('runs_ended');
  });
});

describe('a dead letter', () => {
  it('comes with the failure, and goes when the task is sent back', async () => {
    await inState('running');
    await goes('task-1', 'failed', `, cause = 'timeout', completed_at = now()`);
    const { id, completed_at } = await fixture.task('task-1');
    expect(await fixture.query('SELECT * FROM queue_dead_letters')).toEqual([
      expect.objectContaining({ id, finished_at: completed_at, cause: 'timeout', discarded_at: null }),
    ]);
    await fixture.query('UPDATE queue_dead_letters SET discarded_at = now()');
    await goes('task-1', 'pending');
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toEqual([]);
    await goes('task-1', 'running');
    await goes('task-1', 'failed', `, cause = 'step_failed'`);
    expect(await fixture.query('SELECT cause, discarded_at FROM queue_dead_letters')).toEqual([
      { cause: 'step_failed', discarded_at: null },
    ]);
  });
});
