import { Admitter } from '../../../src/queue/maintenance/admitter.js';
import { Pauses } from '../../../src/queue/maintenance/pauses.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const by = { actor: 'operator', requestId: 'r-1' };
const app = (appName: string, more = {}) => aTask({ appName, ...more });
const blocked = () => fixture.query(`SELECT id, reason FROM queue_blocked ORDER BY id`);

describe('a pause', () => {
  it('of an application holds its tasks, new ones too, and no others, until it is resumed', async () => {
    const api = await fixture.startApi();
    const before = await api.queue.enqueue(app('a'));
    expect(await api.queue.pause({ appName: 'a' }, by, 'incident 7')).toBe(true);
    const after = await api.queue.enqueue(app('a'));
    const other = await api.queue.enqueue(app('b'));
    expect(await blocked()).toHaveLength(2);
    const { queue, handler } = await fixture.start();
    await fixture.becomes(other.taskId, 'completed');
    expect(handler.runs).toHaveLength(1);
    expect(await queue.resume({ appName: 'a' }, by)).toBe(true);
    await fixture.allBecome([before.taskId, after.taskId], 'completed');
    expect(await blocked()).toEqual([]);
  });

  it('of a workflow holds the tasks of that workflow', async () => {
    const { queue } = await fixture.start();
    await queue.pause({ workflowName: 'w' }, by);
    const held = await queue.enqueue(aTask({ workflowName: 'w' }));
    const other = await queue.enqueue(aTask());
    await fixture.becomes(other.taskId, 'completed');
    expect((await fixture.task(held.taskId)).status).toBe('pending');
    await queue.resume({ workflowName: 'w' }, by);
    await fixture.becomes(held.taskId, 'completed');
  });

  it('of the whole queue stops claims on all instances, and what runs goes on', async () => {
    const gate = fixture.gate();
    const one = await fixture.start({ workers: 1, behaviour: gate.hold });
    const two = await fixture.start({ workers: 1, handler: one.handler });
    const running = await one.queue.enqueue(aTask());
    await one.handler.run(1);
    expect(await two.queue.pause({}, by)).toBe(true);
    const held = [await one.queue.enqueue(aTask()), await two.queue.enqueue(aTask())].map(({ taskId }) => taskId);
    expect(await one.store.claim(5, one.id, '00000000-0000-4000-8000-000000000000')).toEqual([]);
    gate.release();
    await fixture.becomes(running.taskId, 'completed');
    expect(await blocked()).toEqual([]);
    expect(one.handler.runs).toHaveLength(1);
    await two.queue.resume({}, by);
    await fixture.allBecome(held, 'completed');
  });

  it('holds what comes back to it: retries, rescued, redriven and handed back tasks', async () => {
    const { queue, store } = await fixture.start({ workers: 0 });
    const { taskId } = await queue.enqueue(app('a', { delaySeconds: 3_600 }));
    await queue.pause({ appName: 'a' }, by);
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    expect(await store.promote(10, 'promoter')).toBe(1);
    expect(await blocked()).toMatchObject([{ reason: 'paused' }]);
    await queue.cancel(taskId, by);
    expect(await blocked()).toEqual([]);
    await queue.retry(taskId, by);
    expect(await blocked()).toMatchObject([{ reason: 'paused' }]);
    await queue.resume({ appName: 'a' }, by);
    expect(await blocked()).toEqual([]);
  });

  it('takes a task out of the line of its key, so that others of the key go on', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 3, behaviour: gate.hold });
    const concurrency = { key: 'shared' };
    await queue.enqueue(app('x', { concurrency }));
    await handler.run(1);
    const held = await queue.enqueue(app('a', { concurrency }));
    const next = await queue.enqueue(app('b', { concurrency }));
    await queue.pause({ appName: 'a' }, by);
    gate.release();
    await fixture.becomes(next.taskId, 'completed');
    expect((await fixture.task(held.taskId)).status).toBe('pending');
    await queue.resume({ appName: 'a' }, by);
    await fixture.becomes(held.taskId, 'completed');
  });

  it('finds what slipped through while it was made', async () => {
    const { queue, module } = await fixture.startApi();
    const ids = [];
    for (const concurrency of [undefined, { key: 'k' }, { key: 'k' }])
      ids.push((await queue.enqueue(app('a', concurrency && { concurrency }))).taskId);
    await module.get(Admitter).idle();
    // As if the tasks' transactions had looked for pauses before this one was there, and committed after it.
    await fixture.query(`INSERT INTO queue_pauses (app_name, paused_by) VALUES ('a', 'operator')`);
    expect(await fixture.query('SELECT FROM queue_ready')).toHaveLength(2);
    expect(await blocked()).toMatchObject([{ reason: 'key' }]);
    await module.get(Pauses).settle();
    expect(await fixture.query('SELECT FROM queue_ready')).toEqual([]);
    expect(await blocked()).toMatchObject([{ reason: 'paused' }, { reason: 'paused' }, { reason: 'paused' }]);
    // And the other way round: what was stored while the pause stood, by a transaction that committed after its end.
    await fixture.query(`DELETE FROM queue_pauses`);
    await fixture.start();
    await fixture.allBecome(ids, 'completed');
  });

  it('is told once, and stands in the ledger with who and why', async () => {
    const { queue } = await fixture.startApi();
    expect(await queue.pause({ appName: 'a' }, by, 'why')).toBe(true);
    expect(await queue.pause({ appName: 'a' }, by)).toBe(false);
    expect(await queue.getPauses()).toMatchObject([
      { app_name: 'a', workflow_name: null, paused_by: 'operator', reason: 'why' },
    ]);
    expect(await queue.resume({ appName: 'a' }, by)).toBe(true);
    expect(await queue.resume({ appName: 'a' }, by)).toBe(false);
    const events = await fixture.query(
      `SELECT kind, actor, cause, detail, request_id FROM queue_task_events ORDER BY id`,
    );
    expect(events).toEqual([
      {
        kind: 'operator',
        actor: 'operator',
        cause: 'paused',
        detail: { app_name: 'a', reason: 'why' },
        request_id: 'r-1',
      },
      { kind: 'operator', actor: 'operator', cause: 'resumed', detail: { app_name: 'a' }, request_id: 'r-1' },
    ]);
  });
});
