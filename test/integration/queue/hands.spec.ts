import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();

async function aPendingTask(): Promise<string> {
  const { queue } = await fixture.startApi();
  return (await queue.enqueue(aTask())).taskId;
}

describe('a hand in psql', () => {
  it('signs its change of a status, and it is in the ledger', async () => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand();
    await hand.query(`SET turnpike.actor = 'ada'`);
    await hand.query(`SET turnpike.cause = 'wrong cluster'`);
    await hand.query(`SET turnpike.detail = '{"ticket": 7}'`);
    await hand.query(`SET turnpike.request_id = 'chat-1'`);
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled' WHERE task_id = $1`, [taskId]);
    await hand.query('DELETE FROM queue_ready');
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      kind: 'transition',
      from_status: 'pending',
      to_status: 'cancelled',
      attempt: 0,
      actor: 'ada',
      cause: 'wrong cluster',
      detail: { ticket: 7 },
      request_id: 'chat-1',
    });
  });

  it('cannot change a status unsigned, and is told how to sign', async () => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand();
    await expect(hand.query(`UPDATE queue_tasks SET status = 'cancelled'`)).rejects.toMatchObject({
      code: 'TP002',
      message: 'a change of queue_tasks.status needs an actor',
      hint: `Sign your work first: SET turnpike.actor = 'your name'; then run the statement again.`,
    });
    // A name set for one transaction reads as '' after it.
    await hand.query(`BEGIN; SET LOCAL turnpike.actor = 'ada'; COMMIT`);
    await expect(hand.query(`UPDATE queue_tasks SET status = 'cancelled'`)).rejects.toMatchObject({ code: 'TP002' });
    expect(await fixture.way(taskId)).toBe('pending');
  });

  it('may change other columns without a word', async () => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand();
    await hand.query(`UPDATE queue_tasks SET metadata = '{"note": "mine"}', status = status`);
    expect(await fixture.events(taskId)).toHaveLength(1);
    expect((await fixture.task(taskId)).metadata).toEqual({ note: 'mine' });
  });

  it('cannot go an illegal way, and is told which are legal', async () => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand('ada');
    await expect(hand.query(`UPDATE queue_tasks SET status = 'completed'`)).rejects.toMatchObject({
      code: 'TP001',
      message: `illegal transition: task ${taskId} cannot go from "pending" to "completed"`,
      hint: 'From "pending" it can go to: cancelled, running.',
    });
    await expect(hand.query(`UPDATE queue_tasks SET status = 'done'`)).rejects.toMatchObject({ code: 'TP001' });
  });

  it('cannot slip an illegal change in among legal ones', async () => {
    const { queue } = await fixture.startApi();
    const [first] = await queue.enqueueMany([aTask(), aTask()]);
    const hand = await fixture.hand('ada');
    const both = `UPDATE queue_tasks SET status = CASE WHEN task_id = $1 THEN 'cancelled' ELSE 'failed' END`;
    await expect(hand.query(both, [first!.taskId])).rejects.toMatchObject({ code: 'TP001' });
    expect(await fixture.query('SELECT DISTINCT status FROM queue_tasks')).toEqual([{ status: 'pending' }]);
  });

  it('cannot let a task begin in the middle', async () => {
    const hand = await fixture.hand('ada');
    const insert = `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, status)
                    VALUES ('task-x', 'a', 'w', '{}', $1)`;
    for (const status of ['running', 'completed', 'done']) {
      await expect(hand.query(insert, [status])).rejects.toMatchObject({ code: 'TP001' });
    }
  });

  it('signs the tasks it inserts by its name, or by that of its role', async () => {
    const hand = await fixture.hand('ada');
    const insert = `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, run_at, status)
                    VALUES ($1, 'a', 'w', '{}', now() + interval '1 h', 'scheduled')`;
    await hand.query(insert, ['task-1']);
    await hand.query('RESET turnpike.actor');
    await hand.query(insert, ['task-2']);
    await hand.query('INSERT INTO queue_scheduled SELECT id, run_at FROM queue_tasks');
    const [{ session_user }] = (await hand.query('SELECT session_user')).rows;
    expect(await fixture.events('task-1')).toMatchObject([{ to_status: 'scheduled', actor: 'ada' }]);
    expect(await fixture.events('task-2')).toMatchObject([{ to_status: 'scheduled', actor: session_user }]);
  });

  it.each([
    ['task_id', `UPDATE queue_tasks SET task_id = 'task-mine'`, 'TP003'],
    ['id', 'UPDATE queue_tasks SET id = DEFAULT', 'TP003'],
    ['id to a value', 'UPDATE queue_tasks SET id = 77', '428C9'],
    ['DELETE', 'DELETE FROM queue_tasks', 'TP003'],
    ['DELETE of nothing', 'DELETE FROM queue_tasks WHERE false', 'TP003'],
    ['TRUNCATE', 'TRUNCATE queue_tasks', 'TP003'],
  ])('cannot change what a task is: %s', async (_, statement, code) => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand('ada');
    await expect(hand.query(statement)).rejects.toMatchObject({ code });
    expect(await fixture.task(taskId)).toMatchObject({ task_id: taskId, status: 'pending' });
  });

  it('may delete tasks as the pruner does, but none that have not ended or that are dead letters', async () => {
    const pending = await aPendingTask();
    const { queue } = await fixture.start();
    await fixture.becomes(pending, 'completed');
    const hand = await fixture.hand();
    await hand.query(`BEGIN; SET LOCAL turnpike.pruner = 'on'; DELETE FROM queue_tasks; COMMIT`);
    await expect(hand.query('DELETE FROM queue_tasks')).rejects.toMatchObject({ code: 'TP003' });
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 3_600 }));
    await hand.query(`SET turnpike.pruner = 'on'`);
    await expect(hand.query('DELETE FROM queue_tasks')).rejects.toMatchObject({
      code: 'TP003',
      message: `task ${taskId} cannot be removed: it is "scheduled"`,
    });
  });
});

describe('the ledger', () => {
  const week = `SELECT tableoid::regclass::text AS name FROM queue_task_events LIMIT 1`;

  it.each([
    ['UPDATE', `UPDATE ledger SET actor = 'somebody else'`],
    ['DELETE', 'DELETE FROM ledger'],
    ['TRUNCATE', 'TRUNCATE ledger'],
  ])('is append-only, also in its partitions: %s', async (verb, statement) => {
    const taskId = await aPendingTask();
    const hand = await fixture.hand('ada');
    const partition = (await fixture.query(week))[0]!.name as string;
    expect(partition).toMatch(/^queue_task_events_\d{8}$/);
    for (const table of ['queue_task_events', partition]) {
      await expect(hand.query(statement.replace('ledger', table))).rejects.toMatchObject({
        code: 'TP003',
        message: `${verb} of queue_task_events is refused: the ledger is append-only`,
      });
    }
    expect(await fixture.events(taskId)).toMatchObject([{ actor: 'tester' }]);
  });

  it('is append-only in every partition there is', async () => {
    const hand = await fixture.hand('ada');
    const partitions = await fixture.query(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'queue_task_events'::regclass`,
    );
    expect(partitions.length).toBeGreaterThan(4);
    for (const { name } of partitions) {
      await expect(hand.query(`TRUNCATE ${name}`)).rejects.toMatchObject({ code: 'TP003' });
    }
  });
});
