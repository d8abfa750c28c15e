import { Sweep } from '../../../src/queue/maintenance/sweep.js';
import { abortion, aTask, completes, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const HOUR = `now() + interval '1 hour'`;

/** An instance that only enqueues, and its sweep, called by the test. */
async function aSweep() {
  const { queue, module } = await fixture.startApi();
  return { queue, sweep: () => module.get(Sweep).sweep('sweep:test') };
}

describe('the sweep repairs', () => {
  it('nothing where all is well', async () => {
    const { queue, sweep } = await aSweep();
    await queue.enqueueMany([aTask(), aTask({ delaySeconds: 60 })]);
    expect(await sweep()).toBe(0);
  });

  it.each([
    ['a pending task whose row in ready is gone', aTask(), 'DELETE FROM queue_ready'],
    ['a scheduled task whose row is gone', aTask({ delaySeconds: 60 }), 'DELETE FROM queue_scheduled'],
    ['a stray row in leases', aTask(), `INSERT INTO queue_leases SELECT id, gen_random_uuid(), 'i' FROM queue_tasks`],
    ['a stray row in scheduled', aTask(), `INSERT INTO queue_scheduled SELECT id, ${HOUR} FROM queue_tasks`],
    ['a stray row in ready', aTask({ delaySeconds: 60 }), 'INSERT INTO queue_ready SELECT id, now() FROM queue_tasks'],
    ['a row in blocked too', aTask(), `INSERT INTO queue_blocked SELECT id, 'paused', now() FROM queue_tasks`],
    [
      'rows in ready, scheduled and leases at once',
      aTask(),
      `INSERT INTO queue_leases SELECT id, gen_random_uuid(), 'i' FROM queue_tasks;
       INSERT INTO queue_scheduled SELECT id, ${HOUR} FROM queue_tasks`,
    ],
  ])('%s', async (_, task, byHand) => {
    const { queue, sweep } = await aSweep();
    const { taskId } = await queue.enqueue(task);
    const before = await fixture.task(taskId);
    await fixture.query(byHand);
    expect(await sweep()).toBe(1);
    expect(await sweep()).toBe(0);
    expect(await fixture.task(taskId)).toEqual(before);
    await fixture.becomesSound();
  });

  it.each([
    ['queue_ready', 'now()'],
    ['queue_scheduled', HOUR],
    ['queue_blocked', `'key', now()`],
    ['queue_leases', `gen_random_uuid(), 'i'`],
  ])('a row in %s without any task', async (table, values) => {
    const { sweep } = await aSweep();
    await fixture.query(`INSERT INTO ${table} VALUES (-7, ${values})`);
    expect(await sweep()).toBe(1);
    expect(await fixture.query(`SELECT FROM ${table}`)).toEqual([]);
  });

  it('the rows of a task whose status was changed by hand', async () => {
    const { queue, sweep } = await aSweep();
    const [pending, scheduled] = await queue.enqueueMany([aTask(), aTask({ delaySeconds: 60 })]);
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled' WHERE task_id = $1`, [pending!.taskId]);
    await hand.query(`UPDATE queue_tasks SET status = 'pending' WHERE task_id = $1`, [scheduled!.taskId]);
    expect(await sweep()).toBe(2);
    expect((await fixture.task(pending!.taskId)).status).toBe('cancelled');
    expect(await fixture.query('SELECT id FROM queue_ready')).toEqual([
      { id: (await fixture.task(scheduled!.taskId)).id },
    ]);
    expect(await fixture.query('SELECT FROM queue_scheduled')).toEqual([]);
  });

  it('a task set to running by hand: it waits again', async () => {
    const { queue, sweep } = await aSweep();
    const { taskId } = await queue.enqueue(aTask());
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'running', started_at = now()`);
    expect(await sweep()).toBe(1);
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      from_status: 'running',
      to_status: 'pending',
      actor: 'sweep:test',
      cause: 'repaired',
    });
  });

  it('counters that somebody has tampered with', async () => {
    const { queue, sweep } = await aSweep();
    await queue.enqueueMany([aTask(), aTask({ delaySeconds: 60 })]);
    await fixture.query('UPDATE queue_counters SET pending = pending + 5, completed = 3, running = -2');
    expect((await queue.getStats()).queue_size).toBe(6);
    await sweep();
    expect(await queue.getStats()).toMatchObject({ queue_size: 1, scheduled_tasks: 1, active_tasks: 0 });
    await fixture.query('DELETE FROM queue_counters');
    await sweep();
    expect((await queue.getStats()).queue_size).toBe(1);
  });

  it('a row that is gone, and then the counters that were off as well', async () => {
    const { queue, sweep } = await aSweep();
    await queue.enqueueMany([aTask(), aTask()]);
    await fixture.query('UPDATE queue_counters SET pending = 7');
    await fixture.query('DELETE FROM queue_ready WHERE id = (SELECT min(id) FROM queue_ready)');
    expect(await sweep()).toBe(1);
    expect(await sweep()).toBe(0);
    await fixture.becomesSound();
  });

  it('one at a time', async () => {
    const { queue, sweep } = await aSweep();
    await queue.enqueueMany([aTask(), aTask(), aTask()]);
    await fixture.query('DELETE FROM queue_ready');
    const repaired = await Promise.all([sweep(), sweep(), sweep()]);
    expect(repaired.reduce((sum, n) => sum + n)).toBe(3);
  });
});

describe('the queue goes on', () => {
  it('past rows that are out of step, and repairs them by itself', async () => {
    const { queue } = await fixture.startApi();
    const tasks = Array.from({ length: 10 }, () => aTask());
    const ids = (await queue.enqueueMany(tasks)).map(({ taskId }) => taskId);
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled' WHERE task_id = ANY($1)`, [ids.slice(0, 2)]);
    await fixture.query('DELETE FROM queue_ready WHERE id IN (SELECT id FROM queue_ready ORDER BY id OFFSET 8)');
    await fixture.query(`INSERT INTO queue_ready VALUES (-1, now() - interval '1 day'), (-2, now())`);
    await fixture.query(`INSERT INTO queue_scheduled VALUES (-3, now() - interval '1 day')`);
    const { handler } = await fixture.start({ workers: 2 });
    await fixture.allBecome(ids.slice(2), 'completed');
    await fixture.becomesSound();
    expect(handler.counts.size).toBe(8);
  });

  it('when the lease of a running task is deleted: the run is told, and the task runs again', async () => {
    const { queue, handler } = await fixture.start({ behaviour: untilAborted, leaseSeconds: 1.5 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    handler.behaviour = completes;
    await fixture.query('DELETE FROM queue_leases');
    expect(await abortion(run)).toBe('lost');
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2, crashes: 0 });
  });

  it('when a running task is cancelled by hand: the run is told', async () => {
    const { queue, handler, metrics } = await fixture.start({ behaviour: untilAborted, leaseSeconds: 1.5 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled', cause = 'cancelled', completed_at = now()`);
    expect(await abortion(run)).toBe('lost');
    await fixture.becomesSound();
    expect(metrics.snapshot()).toMatchObject({ started: 1, completed: 0 });
    expect(await fixture.way(taskId)).toBe('pending running cancelled');
  });

  it('when a failed task is sent back by hand: it runs, and its dead letter goes', async () => {
    const { queue, handler } = await fixture.start({ behaviour: () => Promise.reject(new Error('bad')) });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'failed');
    handler.behaviour = completes;
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'pending'`);
    await fixture.becomes(taskId, 'completed');
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toEqual([]);
  });
});
