import { KeyBusyError } from '../../../src/queue/queue-errors.js';
import { DataSource } from 'typeorm';
import { aTask, failure } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const keyed = (key: string, more: { limit?: number; whenFull?: 'queue' | 'replace' | 'reject' } = {}) =>
  aTask({ concurrency: { key, ...more } });
const names = (enqueued: { taskId: string }[]) => enqueued.map(({ taskId }) => taskId);

describe('a concurrency key', () => {
  it('lets one task of it run at a time, in the order of their promises', async () => {
    const { queue, handler } = await fixture.start({ workers: 4 });
    const order: string[] = [];
    let most = 0;
    let running = 0;
    handler.behaviour = async ({ task }) => {
      order.push(task.taskId);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return { status: 'completed' };
    };
    const tasks: string[] = [];
    for (let n = 0; n < 12; n++) tasks.push((await queue.enqueue(keyed('app'))).taskId);
    await fixture.allBecome(tasks, 'completed');
    expect(most).toBe(1);
    expect(order).toEqual(tasks);
  });

  it('lets as many run as its limit says, over several instances, and others pass', async () => {
    const gate = fixture.gate();
    const one = await fixture.start({ workers: 4, behaviour: gate.hold });
    const two = await fixture.start({ workers: 4, handler: one.handler });
    const tasks = names(await one.queue.enqueueMany(Array.from({ length: 10 }, () => keyed('app', { limit: 3 }))));
    await one.handler.run(3);
    const free = await two.queue.enqueue(aTask());
    const other = await two.queue.enqueue(keyed('another'));
    await one.handler.run(5);
    expect(
      one.handler.runs
        .slice(3)
        .map(({ task }) => task.taskId)
        .sort(),
    ).toEqual([free.taskId, other.taskId].sort());
    const [{ n }] = (await fixture.query(`SELECT count(*)::int AS n FROM queue_blocked WHERE reason = 'key'`)) as [
      { n: number },
    ];
    expect(n).toBe(7);
    gate.release();
    await fixture.allBecome([...tasks, free.taskId, other.taskId], 'completed');
  });

  it('takes the word of the last submission for its limit', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 4, behaviour: gate.hold });
    await queue.enqueue(keyed('app'));
    await queue.enqueue(keyed('app'));
    await handler.run(1);
    await queue.enqueue(keyed('app', { limit: 2 }));
    await handler.run(2);
    gate.release();
  });

  it('keeps its slot through a crash, and frees it with a rescued task that is given up', async () => {
    const gate = fixture.gate();
    const dying = await fixture.start({ workers: 1, behaviour: gate.holdDeaf });
    const first = await dying.queue.enqueue(keyed('app'));
    await dying.handler.run(1);
    const second = await dying.queue.enqueue(keyed('app'));
    const rescuer = await fixture.start({ workers: 2, behaviour: gate.hold });
    await fixture.expire(dying.id);
    const run = await rescuer.handler.run(1);
    expect(run.task.taskId).toBe(first.taskId);
    expect((await fixture.query('SELECT count(*)::int AS n FROM queue_leases'))[0]!.n).toBe(1);
    gate.release();
    await fixture.allBecome([first.taskId, second.taskId], 'completed');
  });

  it('frees its slot while a task of it waits to be retried', async () => {
    const { queue, handler } = await fixture.start({ workers: 1 });
    handler.behaviour = async ({ task }) =>
      task.taskId === first.taskId ? { ...failure('no'), retryInSeconds: 3_600 } : { status: 'completed' };
    const first = await queue.enqueue({ ...keyed('app'), maxAttempts: 2 });
    await fixture.becomes(first.taskId, 'retrying');
    const second = await queue.enqueue(keyed('app'));
    await fixture.becomes(second.taskId, 'completed');
  });

  it('admits a task that became due', async () => {
    const { queue } = await fixture.start();
    const { taskId } = await queue.enqueue({ ...keyed('app'), delaySeconds: 3_600 });
    await fixture.query(`UPDATE queue_tasks SET run_at = now() WHERE task_id = $1`, [taskId]);
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    await fixture.becomes(taskId, 'completed');
  });

  it('goes on where the process died between a commit and the admission', async () => {
    const api = await fixture.startApi();
    const [store] = [api.store];
    store.onKeysTouched(() => undefined);
    const tasks = names(await api.queue.enqueueMany([keyed('app'), keyed('app'), keyed('b')]));
    expect((await fixture.query('SELECT count(*)::int AS n FROM queue_blocked'))[0]!.n).toBe(3);
    await fixture.start();
    await fixture.allBecome(tasks, 'completed');
  });

  it("admits a task that came with its caller's transaction", async () => {
    const { queue, module } = await fixture.start({ pollSeconds: 30 });
    await fixture.listening(1);
    const { taskId } = await module.get(DataSource).transaction((manager) => queue.enqueue(keyed('app'), { manager }));
    await fixture.becomes(taskId, 'completed');
  });

  it('cancels what waits for it, and what is cancelled in line frees nothing', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 3, behaviour: gate.hold });
    const [first, second, third] = names(await queue.enqueueMany([keyed('app'), keyed('app'), keyed('app')])) as [
      string,
      string,
      string,
    ];
    await handler.run(1);
    const waiting = [first, second, third].filter((task) => task !== handler.runs[0]!.task.taskId);
    await queue.cancel(waiting[0]!, { actor: 'tester' });
    expect((await fixture.task(waiting[0]!)).status).toBe('cancelled');
    expect((await fixture.task(waiting[1]!)).status).toBe('pending');
    gate.release();
    await fixture.becomes(waiting[1]!, 'completed');
    expect(handler.runs).toHaveLength(2);
  });

  it('is forgotten when nothing uses it', async () => {
    const { queue } = await fixture.start({ workers: 1 });
    const { taskId } = await queue.enqueue(keyed('app', { limit: 2 }));
    await fixture.becomes(taskId, 'completed');
    await fixture.start({ workers: 1 });
    await until('the key is forgotten', async () => (await fixture.query('SELECT FROM queue_keys')).length === 0);
  });
});

describe('when all slots are taken', () => {
  it('reject refuses the task, names who holds the key, and stores nothing', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 2, behaviour: gate.hold });
    const first = await queue.enqueue(keyed('app', { whenFull: 'reject' }));
    await handler.run(1);
    const refused = await queue.enqueue(keyed('app', { whenFull: 'reject' })).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(KeyBusyError);
    expect(refused).toMatchObject({ key: 'app', holders: [first.taskId] });
    expect(await fixture.query('SELECT FROM queue_tasks')).toHaveLength(1);
    gate.release();
    await fixture.becomes(first.taskId, 'completed');
    const third = await queue.enqueue(keyed('app', { whenFull: 'reject' }));
    await fixture.becomes(third.taskId, 'completed');
  });

  it('reject lets exactly one of many in that come at once', async () => {
    const gate = fixture.gate();
    const one = await fixture.start({ workers: 2, behaviour: gate.hold });
    const two = await fixture.startApi();
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => (n % 2 ? one : two).queue.enqueue(keyed('app', { whenFull: 'reject' }))),
    );
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await fixture.query('SELECT FROM queue_tasks')).toHaveLength(1);
    await one.handler.run(1);
    gate.release();
  });

  it('replace cancels the older ones: what runs, what waits in line, and what is to be retried', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 2, behaviour: gate.hold });
    const later = await queue.enqueue({ ...keyed('app'), delaySeconds: 3_600 });
    const first = await queue.enqueue(keyed('app'));
    await handler.run(1);
    const second = await queue.enqueue(keyed('app'));
    const newest = await queue.enqueue(keyed('app', { whenFull: 'replace' }));
    await fixture.allBecome([later.taskId, first.taskId, second.taskId], 'cancelled');
    expect(await fixture.task(first.taskId)).toMatchObject({
      cause: 'superseded',
      error_message: `superseded by ${newest.taskId}`,
    });
    const run = await handler.run(2);
    expect(run.task.taskId).toBe(newest.taskId);
    gate.release();
    await fixture.becomes(newest.taskId, 'completed');
  });

  it('replace leaves as many running as the limit has room for', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 4, behaviour: gate.hold });
    const first = await queue.enqueue(keyed('app', { limit: 2 }));
    const second = await queue.enqueue(keyed('app', { limit: 2 }));
    await handler.run(2);
    const third = await queue.enqueue(keyed('app', { limit: 2, whenFull: 'replace' }));
    await fixture.becomes(first.taskId, 'cancelled');
    const run = await handler.run(3);
    expect(run.task.taskId).toBe(third.taskId);
    gate.release();
    await fixture.allBecome([second.taskId, third.taskId], 'completed');
  });
});

describe('bad concurrency', () => {
  it.each([
    ['an empty key', { key: '' }, 'concurrency.key'],
    ['a long key', { key: 'x'.repeat(256) }, 'concurrency.key'],
    ['a limit of none', { key: 'a', limit: 0 }, 'concurrency.limit'],
    ['a limit that is no whole number', { key: 'a', limit: 1.5 }, 'concurrency.limit'],
  ])('%s is refused', async (_, concurrency, field) => {
    const { queue } = await fixture.startApi();
    await expect(queue.enqueue(aTask({ concurrency }))).rejects.toMatchObject({ name: 'InvalidTaskError', field });
  });
});
