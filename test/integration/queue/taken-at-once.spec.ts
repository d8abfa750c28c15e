import { enqueueTaking } from '../../../src/queue/store/enqueue.sql.js';
import { TaskStore } from '../../../src/queue/store/task-store.js';
import { type Offer } from '../../../src/queue/store/task-changes.js';
import { encodeTask, type NewTask } from '../../../src/queue/new-task.js';
import { resolveQueueOptions } from '../../../src/queue/queue-options.js';
import { LossyProxy } from '../../support/lossy-proxy.js';
import { useQueue } from '../../support/queue-fixture.js';
import { aTask } from '../../support/queue-harness.js';

const fixture = useQueue();
const TOKEN = '7f0c1f3e-0000-4000-8000-000000000002';
const OFFER: Offer = { instance: 'me', token: TOKEN, workers: 2, floor: -Infinity };

/** A store, and an instance by the name of `me` that is alive. */
async function setup() {
  const api = await fixture.startApi();
  await fixture.query(`INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
                       VALUES ('me', now() + interval '1 h', 'here', 1, '', 2)`);
  return { api, store: api.module.get(TaskStore) };
}

const encode = (...tasks: Partial<NewTask>[]) => tasks.map((task) => encodeTask(aTask(task), resolveQueueOptions({})));
const statuses = async () =>
  (await fixture.query('SELECT status FROM queue_tasks ORDER BY task_id')).map(({ status }) => status);

describe('a task that an idle worker takes as it is stored', () => {
  it('is running under a lease, and the ledger has both states, by who enqueued it and who runs it', async () => {
    const { api, store } = await setup();
    const tasks = encode({
      workflowSpec: { n: 1 },
      metadata: { user: 'ann', labels: { team: 'a' } },
      requestId: 'req-1',
    });
    const { earliest, taken } = await store.enqueueTaking(tasks, OFFER);
    expect(earliest).toBe(Infinity);
    const { taskId } = tasks[0]!;
    expect(taken).toMatchObject([
      { taskId, leaseToken: TOKEN, attempt: 1, workflowSpec: { n: 1 }, requestId: 'req-1', suspect: false },
    ]);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'running', attempt: 1, instance: 'me' });
    expect(await fixture.query('SELECT lease_token, instance, prefetched FROM queue_leases')).toEqual([
      { lease_token: TOKEN, instance: 'me', prefetched: false },
    ]);
    expect(await fixture.events(taskId)).toMatchObject([
      { from_status: null, to_status: 'pending', attempt: 0, actor: 'ann', request_id: 'req-1' },
      { from_status: 'pending', to_status: 'running', attempt: 1, actor: 'worker:me', request_id: 'req-1' },
    ]);
    expect(await api.queue.getStats()).toMatchObject({ queue_size: 0, active_tasks: 1, tasks_enqueued: 1 });
    expect(await fixture.query('SELECT name FROM queue_task_labels')).toEqual([{ name: 'team' }]);
    expect(await fixture.query('SELECT sum(tasks_started)::int AS n FROM queue_counters')).toEqual([{ n: 1 }]);
  });

  it('is one of those that are due first, and no more than there are workers', async () => {
    const { store } = await setup();
    const tasks = encode({ priority: 'low' }, { priority: 'high' }, {}, { delaySeconds: 60 }, { priority: 'urgent' });
    const { earliest, taken } = await store.enqueueTaking(tasks, OFFER);
    expect(taken.map(({ taskId }) => taskId)).toEqual([tasks[4]!.taskId, tasks[1]!.taskId]);
    expect(await statuses()).toEqual(['pending', 'running', 'pending', 'scheduled', 'running']);
    const [first] = await fixture.query('SELECT min(start_by) AS due FROM queue_ready');
    expect(earliest).toBeCloseTo((first!.due as Date).getTime(), -1);
  });

  it('passes nobody who waits, even one that is due later', async () => {
    const { api, store } = await setup();
    await api.queue.enqueue(aTask({ priority: 'low' }));
    const { taken } = await store.enqueueTaking(encode({ priority: 'urgent' }), OFFER);
    expect(taken).toEqual([]);
    expect(await statuses()).toEqual(['pending', 'pending']);
  });

  it.each([
    ['whose lease is over', `UPDATE queue_instances SET expires_at = now() - interval '1 s'`],
    ['that drains', 'UPDATE queue_instances SET draining = true'],
    ['that is gone', 'DELETE FROM queue_instances'],
  ])('is not given to an instance %s', async (_, change) => {
    const { store } = await setup();
    await fixture.query(change);
    const { earliest, taken } = await store.enqueueTaking(encode({}), OFFER);
    expect([taken, await statuses()]).toEqual([[], ['pending']]);
    expect(earliest).toBeLessThan(Infinity);
  });

  it('is stored and taken once, however often it is tried', async () => {
    const { store } = await setup();
    const tasks = encode({});
    await store.enqueueTaking(tasks, OFFER);
    expect(await store.enqueueTaking(tasks, OFFER)).toEqual({ earliest: null, taken: [] });
    expect((await store.claimedBy(TOKEN)).map(({ taskId }) => taskId)).toEqual([tasks[0]!.taskId]);
    expect(await fixture.way(tasks[0]!.taskId)).toBe('pending running');
  });

  it('comes from the instance that runs it, in one transaction', async () => {
    const worker = await fixture.start({ workers: 2 });
    const { taskId } = await worker.queue.enqueue(aTask());
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 1, instance: worker.id });
    expect(await fixture.way(taskId)).toBe('pending running completed');
  });

  it('runs once although the answer to the statement was lost', async () => {
    const proxy = new LossyProxy(new URL(fixture.url));
    try {
      const worker = await fixture.start({ url: await proxy.listen(), workers: 2 });
      await fixture.listening(1);
      const lost = proxy.loseAnswerTo(enqueueTaking);
      const ids: string[] = [];
      let over = false;
      void lost.then(() => (over = true));
      // A claim may be under way at the moment, and then no worker is offered.
      while (!over) ids.push((await worker.queue.enqueue(aTask())).taskId);
      await fixture.allBecome(ids, 'completed');
      expect(ids.map((id) => worker.handler.counts.get(id))).toEqual(ids.map(() => 1));
    } finally {
      await proxy.close();
    }
  });

  it('cannot be inserted so by hand, without a lease of its own', async () => {
    const hand = await fixture.hand('ada');
    const insert = `INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, status, attempt, started_at,
                      instance) VALUES ('task-x', 'a', 'w', '{}', 'running', 1, now(), 'me')`;
    await expect(hand.query(insert)).rejects.toMatchObject({
      code: 'TP001',
      message: 'illegal transition: task task-x cannot begin as "running"',
    });
  });
});
