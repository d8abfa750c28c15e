import { finish } from '../../../src/queue/store/finish.sql.js';
import { prefetch, startPrefetched } from '../../../src/queue/store/prefetch.sql.js';
import { ListStore } from '../../../src/queue/store/list-store.js';
import { abortion, aTask, completes, failure, type InstanceOptions } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { LossyProxy } from '../../support/lossy-proxy.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const BY = { actor: 'ada' };

/** One instance with one worker, at work on the first of `count` tasks; the others are its own, ahead of the worker. */
async function oneAtWork(count: number, options: InstanceOptions = {}) {
  const gate = fixture.gate();
  const api = await fixture.startApi();
  const enqueued = await api.queue.enqueueMany(Array.from({ length: count }, () => aTask()));
  const ids = enqueued.map(({ taskId }) => taskId);
  const worker = await fixture.start({
    workers: 1,
    prefetch: 100,
    leaseSeconds: 30,
    behaviour: (run) => (run.task.taskId === ids[0] ? gate.hold(run) : completes(run)),
    ...options,
  });
  const first = await worker.handler.run(1);
  await fixture.becomes(ids[0]!, 'running');
  return { gate, api, worker, ids, first, ahead: ids.slice(1) };
}

const leased = async () => (await fixture.query('SELECT id FROM queue_leases')).length;

describe('prefetched tasks', () => {
  it('are pending to every reader until a worker begins them, and start when it does', async () => {
    const { gate, api, worker, ids, ahead } = await oneAtWork(4);
    expect(await leased()).toBe(4);
    expect(await fixture.query('SELECT FROM queue_ready')).toEqual([]);
    const [waiting] = await fixture.query('SELECT * FROM queue_tasks WHERE task_id = $1', [ahead[0]]);
    expect(waiting).toMatchObject({ status: 'pending', attempt: 0, started_at: null, instance: null });
    expect(await api.queue.getStats()).toMatchObject({ queue_size: 3, active_tasks: 1 });
    const list = (status: 'pending' | 'running') => api.module.get(ListStore).list({ filter: { status }, limit: 10 });
    expect([await list('pending'), await list('running')].map((found) => found.length)).toEqual([3, 1]);
    expect((await api.queue.getActiveTasks()).tasks.map(({ id }) => id)).toEqual([ids[0]]);

    gate.release();
    await fixture.allBecome(ids, 'completed');
    const rows = await fixture.query(`
      SELECT attempt, instance, started_at <= completed_at AS sane, started_at >= (SELECT started_at FROM queue_tasks ORDER BY id LIMIT 1) AS later
      FROM queue_tasks ORDER BY id`);
    for (const row of rows) expect(row).toMatchObject({ attempt: 1, instance: worker.id, sane: true, later: true });
    expect(await fixture.way(ahead[0]!)).toBe('pending running completed');
    expect(worker.handler.runs.map((run) => run.task.taskId)).toEqual(ids);
    expect(worker.handler.runs[3]!.task).toMatchObject({ attempt: 1 });
  });

  it('are cancelled at once, and never begun', async () => {
    const { gate, api, worker, ids, ahead } = await oneAtWork(3);
    await api.queue.cancel(ahead[0]!, BY, 'not needed');
    expect(await fixture.becomes(ahead[0]!, 'cancelled')).toMatchObject({
      cause: 'cancelled',
      error_message: 'not needed',
    });
    gate.release();
    await fixture.allBecome([ids[0]!, ahead[1]!], 'completed');
    expect([...worker.handler.counts.keys()]).toEqual([ids[0], ahead[1]]);
  });

  it('go back to the queue at once when their instance drains, at no cost', async () => {
    const { gate, worker, ids, ahead } = await oneAtWork(5);
    const closing = worker.close();
    await until('the others are free again', async () => (await leased()) === 1);
    const other = await fixture.start({ workers: 2 });
    await fixture.allBecome(ahead, 'completed');
    gate.release();
    await closing;
    const rows = await fixture.query('SELECT attempt, crashes, failures FROM queue_tasks');
    expect(rows).toEqual(Array(5).fill({ attempt: 1, crashes: 0, failures: 0 }));
    expect(other.handler.counts.size).toBe(4);
    expect(worker.handler.counts.size).toBe(1);
    expect((await fixture.task(ids[0]!)).status).toBe('completed');
  });

  it('come back from a dead instance without a crash: only what it had begun counts one', async () => {
    const { gate, worker, first, ids, ahead } = await oneAtWork(4, { leaseSeconds: 3 });
    await fixture.expire(worker.id);
    await abortion(first);
    gate.release();
    const rescuer = await fixture.start({ workers: 1 });
    await fixture.allBecome(ids, 'completed');
    expect(rescuer.handler.counts.size + worker.handler.counts.size).toBeGreaterThanOrEqual(4);
    const rows = await fixture.query('SELECT task_id, crashes FROM queue_tasks ORDER BY id');
    expect(rows).toEqual(ids.map((task_id) => ({ task_id, crashes: task_id === ids[0] ? 1 : 0 })));
    expect((await fixture.way(ahead[0]!)).startsWith('pending running')).toBe(true);
  });

  it('that came back from a dead instance are known, so that their start is on record before they are run', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    // An instance that took it ahead and died, perhaps by running it.
    await fixture.query(`
      WITH ready AS (DELETE FROM queue_ready RETURNING id)
      INSERT INTO queue_leases (id, lease_token, instance, prefetched) SELECT id, gen_random_uuid(), 'dead', true FROM ready`);
    const { handler } = await fixture.start({ workers: 1, prefetch: 5 });
    const statuses: string[] = [];
    handler.behaviour = async (run) => {
      statuses.push((await fixture.task(run.task.taskId)).status as string);
      return { status: 'completed' };
    };
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 1, crashes: 0 });
    expect(handler.runs[0]!.task.suspect).toBe(true);
    expect(statuses).toEqual(['running']);
  });

  it('are handed back on a drain although somebody holds one of them locked', async () => {
    const { gate, worker, ids, ahead } = await oneAtWork(4);
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN');
    await hand.query(`UPDATE queue_tasks SET metadata = '{"held": true}' WHERE task_id = $1`, [ahead[1]]);
    const { id } = worker;
    const closing = worker.close();
    const other = await fixture.start({ workers: 1 });
    await fixture.allBecome([ahead[0]!, ahead[2]!], 'completed');
    gate.release();
    await closing;
    await hand.query('COMMIT');
    await fixture.expire(id);
    await fixture.allBecome(ids, 'completed');
    expect(other.handler.counts.get(ahead[1]!)).toBe(1);
  });

  it('are carried out once each by several instances, whatever becomes of them', async () => {
    const behaviour: InstanceOptions['behaviour'] = (run) =>
      Promise.resolve(run.task.appName === 'bad' ? failure('bad') : { status: 'completed' });
    const api = await fixture.startApi();
    const enqueued = await api.queue.enqueueMany(
      Array.from({ length: 600 }, (_, n) => aTask({ appName: n % 50 === 0 ? 'bad' : 'good' })),
    );
    const workers = await Promise.all(
      [20, 50, 100].map((prefetch) => fixture.start({ workers: 3, prefetch, behaviour })),
    );
    await until(
      'all have ended',
      async () => (await leased()) === 0 && (await fixture.query('SELECT FROM queue_ready')).length === 0,
    );
    const runs = workers.flatMap(({ handler }) => handler.runs.map((run) => run.task.taskId));
    expect(runs.toSorted()).toEqual(enqueued.map(({ taskId }) => taskId).toSorted());
    const states = await fixture.query('SELECT status, count(*)::int FROM queue_tasks GROUP BY 1 ORDER BY 1');
    expect(states).toEqual([
      { status: 'completed', count: 588 },
      { status: 'failed', count: 12 },
    ]);
  });

  it('that somebody holds locked wait for that alone', async () => {
    const { gate, ids, ahead } = await oneAtWork(6);
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN');
    await hand.query(`UPDATE queue_tasks SET metadata = '{"held": true}' WHERE task_id = $1`, [ahead[2]]);
    gate.release();
    const others = ids.filter((id) => id !== ahead[2]);
    await fixture.allBecome(others, 'completed');
    expect((await fixture.task(ahead[2]!)).status).toBe('pending');
    await hand.query('COMMIT');
    expect(await fixture.becomes(ahead[2]!, 'completed')).toMatchObject({ attempt: 1, metadata: { held: true } });
  });

  it('survive a lost answer to the claim, to the start, to the end, and to both at once', async () => {
    const proxy = new LossyProxy(new URL(fixture.url));
    try {
      const api = await fixture.startApi();
      const worker = await fixture.start({ url: await proxy.listen(), workers: 2, prefetch: 10 });
      const shown: InstanceOptions['behaviour'] = async (run) => {
        await fixture.becomes(run.task.taskId, 'running');
        return { status: 'completed' };
      };
      const cases = [
        [prefetch, completes],
        [startPrefetched, shown],
        [finish, shown],
        [finish, completes],
      ] as const;
      for (const [statement, behaviour] of cases) {
        worker.handler.behaviour = behaviour;
        const lost = proxy.loseAnswerTo(statement);
        const enqueued = await api.queue.enqueueMany(Array.from({ length: 5 }, () => aTask()));
        await fixture.allBecome(
          enqueued.map(({ taskId }) => taskId),
          'completed',
        );
        await lost;
      }
      expect([...worker.handler.counts.values()]).toEqual(Array(20).fill(1));
      const ways = await fixture.query(`SELECT count(*)::int FROM queue_task_events GROUP BY task_id`);
      expect(ways).toEqual(Array(20).fill({ count: 3 }));
    } finally {
      await proxy.close();
    }
  });

  it('whose status a hand has changed are nobody´s', async () => {
    const { gate, worker, ids, ahead } = await oneAtWork(3);
    const hand = await fixture.hand('ada');
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled' WHERE task_id = $1`, [ahead[0]]);
    gate.release();
    await fixture.allBecome([ids[0]!, ahead[1]!], 'completed');
    await fixture.becomesSound();
    expect((await fixture.task(ahead[0]!)).status).toBe('cancelled');
    expect(worker.metrics.snapshot().completed).toBe(2);
  });

  it('that stand in the queue as well are repaired to stand there once', async () => {
    const { gate, worker, ids, ahead } = await oneAtWork(2);
    await fixture.query(
      'INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM queue_tasks WHERE task_id = $1',
      [ahead[0]],
    );
    await until('one row is left', async () => {
      const rows = await fixture.query(
        `SELECT id FROM queue_tasks t JOIN queue_ready USING (id) JOIN queue_leases USING (id) WHERE task_id = $1`,
        [ahead[0]],
      );
      return rows.length === 0;
    });
    gate.release();
    await fixture.allBecome(ids, 'completed');
    expect(worker.handler.counts.get(ids[0]!)).toBe(1);
    expect((await fixture.task(ahead[0]!)).attempt).toBe(1);
  });
});
