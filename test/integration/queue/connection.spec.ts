import { encodeTask } from '../../../src/queue/new-task.js';
import { limitCheck } from '../../../src/queue/store/enqueue.sql.js';
import { sqlState } from '../../../src/queue/store/queue-database.js';
import { abortion, aTask, completes } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

/** Ends every session of the queue, as a restart of PostgreSQL would; the test's own pool stays. */
async function cutAll(): Promise<number> {
  const rows = await fixture.query(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'turnpike'`);
  return rows.length;
}

describe('when all connections are cut', () => {
  it('in the middle of work, the queue goes on by itself, and no task is lost or run twice to its end', async () => {
    const first = await fixture.start({ workers: 4 });
    const second = await fixture.start({ workers: 4 });
    for (const { handler } of [first, second]) {
      handler.behaviour = async (run) => {
        await new Promise((resolve) => setImmediate(resolve));
        return completes(run);
      };
    }
    const runs = () => first.handler.runs.length + second.handler.runs.length;
    const ids: string[] = [];
    for (let round = 1; round <= 5; round++) {
      const before = runs();
      const tasks = Array.from({ length: 60 }, () => aTask());
      const enqueues = Promise.all(tasks.map((task) => first.queue.enqueue(task)));
      await until('some of them run', () => runs() >= before + 5, { everyMs: 1 });
      // The enqueues, claims and finishes under way are repeated, not failed and not doubled.
      await until('connections are cut', async () => (await cutAll()) > 0);
      ids.push(...(await enqueues).map(({ taskId }) => taskId));
    }
    await fixture.allBecome(ids, 'completed');
    expect(await fixture.query('SELECT count(*)::int AS n FROM queue_tasks')).toEqual([{ n: 300 }]);
    const ends = await fixture.query(
      `SELECT task_id FROM queue_task_events WHERE to_status = 'completed' GROUP BY 1 HAVING count(*) > 1`,
    );
    expect(ends).toEqual([]);
    // A claim whose answer was lost is a run that never began: handed back at no cost, or found by its token.
    const spent = await fixture.query('SELECT FROM queue_tasks WHERE failures > 0 OR crashes > 0');
    expect(spent).toEqual([]);
  });

  it('listening and the heartbeat come back', async () => {
    const { id, queue, handler } = await fixture.start({ leaseSeconds: 1.5 });
    await fixture.listening(1);
    await cutAll();
    await fixture.listening(1);
    const [before] = await fixture.query('SELECT expires_at FROM queue_instances');
    await until('the lease is renewed', async () => {
      const [now] = await fixture.query('SELECT expires_at FROM queue_instances WHERE id = $1', [id]);
      return now !== undefined && now.expires_at > before!.expires_at;
    });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ instance: id, attempt: 1 });
  });

  it('a run that lasts through it keeps its lease, its journal, and its end', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ behaviour: gate.hold, leaseSeconds: 6 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    await run.journal.beginSteps([{ name: 'plan', type: 'bash' }]);
    const starting = run.journal.startStep(0);
    await cutAll();
    await starting;
    const finishing = run.journal.finishStep(0, { status: 'completed' });
    await cutAll();
    await finishing;
    gate.release();
    await cutAll();
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 1, crashes: 0 });
    expect(run.signal.aborted).toBe(false);
  });

  it('a cancel finds its way all the same', async () => {
    const { queue, handler } = await fixture.start({ behaviour: fixture.gate().hold, leaseSeconds: 1.5 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    await fixture.listening(1);
    await queue.cancel(taskId, { actor: 'ada' });
    await cutAll();
    expect(await abortion(run)).toBe('cancelled');
    await fixture.becomes(taskId, 'cancelled');
  });
});

describe('whether tasks can be stored', () => {
  it('is asked by trying, which stores nothing and is told of no task', async () => {
    const { queue, store } = await fixture.start({ workers: 0 });
    await queue.check();
    await store.rehearse([encodeTask(aTask(), { promiseSeconds: { urgent: 0, high: 60, medium: 600, low: 3_600 } })]);
    expect(await fixture.query('SELECT FROM queue_tasks')).toEqual([]);
    expect(await fixture.query('SELECT FROM queue_task_events')).toEqual([]);
    await expect(store.rehearse([{ taskId: 'task-x', json: '["task-x"]' }])).rejects.toMatchObject({ code: '23502' });
  });

  it('is answered though somebody holds what it needs for long, whatever the database gives a statement', async () => {
    const { queue, store } = await fixture.start({ workers: 0 });
    const task = encodeTask(aTask(), { promiseSeconds: { urgent: 0, high: 60, medium: 600, low: 3_600 } });
    const hand = await fixture.hand();
    await hand.query('BEGIN; LOCK TABLE queue_tasks, queue_pauses IN ACCESS EXCLUSIVE MODE');
    await expect(queue.check()).rejects.toMatchObject({ code: '55P03' });
    await expect(store.rehearse([task])).rejects.toMatchObject({ code: '55P03' });
    await hand.query('COMMIT');
    await store.rehearse([task]);
    for (const [own, during] of [
      ['0', '2s'],
      ['1min', '2s'],
      ['100ms', '100ms'],
    ]) {
      await hand.query(`SET statement_timeout = '${own}'`);
      await hand.query('BEGIN');
      await hand.query(limitCheck.text);
      expect((await hand.query('SHOW statement_timeout')).rows).toEqual([{ statement_timeout: during }]);
      await hand.query('ROLLBACK');
    }
  });

  it('is denied by sessions that may only read, and by none that began after them', async () => {
    const { queue } = await fixture.start({ workers: 0 });
    const tell = (sql: string) =>
      fixture.query(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ${sql}', current_database()); END $$`);
    await tell('SET default_transaction_read_only = on');
    await cutAll();
    // The first to use a session that was cut hears of that.
    const refusal = () => queue.check().then(() => undefined, sqlState);
    await until('a session may only read', async () => (await refusal()) === '25006');
    await expect(queue.enqueue(aTask())).rejects.toMatchObject({ code: '25006' });
    await tell('RESET default_transaction_read_only');
    // One refusal for each session that is left from then, at most.
    await until('tasks can be stored again', () =>
      queue.check().then(
        () => true,
        () => false,
      ),
    );
    await queue.enqueue(aTask());
  });
});
