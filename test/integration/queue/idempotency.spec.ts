import { DataSource } from 'typeorm';
import { IdempotencyConflictError } from '../../../src/queue/idempotency.js';
import { enqueueOnce, enqueueOnceTaking } from '../../../src/queue/store/enqueue.sql.js';
import { aTask } from '../../support/queue-harness.js';
import { LossyProxy } from '../../support/lossy-proxy.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

const keyed = (key: string, bodyHash = 'body', principal = 'ada') =>
  aTask({ idempotency: { principal, key, bodyHash, facts: { about: bodyHash } } });
const stored = async () => (await fixture.query('SELECT task_id FROM queue_tasks ORDER BY id')).map((r) => r.task_id);

describe('a task with an idempotency key', () => {
  it('is stored once; who asks again gets the same, with what was noted', async () => {
    const { queue, metrics } = await fixture.startApi();
    const first = await queue.enqueue(keyed('k'));
    expect(first.replayed).toBe(false);
    expect(await queue.enqueue(keyed('k'))).toEqual({
      taskId: first.taskId,
      replayed: true,
      facts: { about: 'body' },
    });
    expect(await stored()).toEqual([first.taskId]);
    expect(metrics.snapshot().enqueued).toBe(1);
  });

  it('is a conflict for another request, and no matter to another caller', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(keyed('k'));
    const conflict = await queue.enqueue(keyed('k', 'other')).catch((error: unknown) => error);
    expect(conflict).toBeInstanceOf(IdempotencyConflictError);
    expect(conflict).toMatchObject({ key: 'k', taskId });
    expect(await queue.enqueue(keyed('k', 'other', 'bob'))).toMatchObject({ replayed: false });
    expect(await stored()).toHaveLength(2);
  });

  it('is one task for all who ask at the same time, in one batch and on several instances', async () => {
    const instances = await Promise.all([fixture.startApi(), fixture.startApi(), fixture.start()]);
    const keys = Array.from({ length: 40 }, (_, n) => `key-${n}`);
    // Each in an order of its own.
    const asked = instances.flatMap(({ queue }, which) =>
      [...keys, ...keys]
        .sort((a, b) => (which === 1 ? b.localeCompare(a) : a.localeCompare(b)))
        .map(async (key) => ({ key, ...(await queue.enqueue(keyed(key))) })),
    );
    const answers = await Promise.all(asked);
    for (const key of keys) {
      const same = answers.filter((answer) => answer.key === key);
      expect(new Set(same.map(({ taskId }) => taskId)).size).toBe(1);
      expect(same.filter(({ replayed }) => !replayed)).toHaveLength(1);
    }
    expect((await stored()).sort()).toEqual([...new Set(answers.map(({ taskId }) => taskId))].sort());
    await fixture.allBecome(await stored(), 'completed');
  });

  it('meets another request under its key in the same batch: one of them wins', async () => {
    const { queue } = await fixture.startApi();
    const results = await Promise.allSettled([
      queue.enqueue(keyed('k', 'one')),
      queue.enqueue(keyed('k', 'two')),
      queue.enqueue(keyed('k', 'one')),
      queue.enqueue(aTask()),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(await stored()).toHaveLength(2);
  });

  it('does not take the others of its batch with it where it cannot be stored', async () => {
    const { queue } = await fixture.startApi();
    const results = await Promise.allSettled([
      queue.enqueue({ ...keyed('bad'), runAt: new Date(8.64e15) }),
      queue.enqueue(keyed('good')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    // And it has left nothing under its key.
    expect(await queue.enqueue(keyed('bad', 'better'))).toMatchObject({ replayed: false });
  });

  it('of many together counts once too', async () => {
    const { queue, metrics } = await fixture.startApi();
    const enqueued = await queue.enqueueMany([keyed('a'), aTask(), keyed('a'), keyed('b')]);
    expect(enqueued.map(({ replayed }) => replayed)).toEqual([false, false, true, false]);
    expect(enqueued[2]!.taskId).toBe(enqueued[0]!.taskId);
    expect(metrics.snapshot().enqueued).toBe(3);
  });

  it('runs at once on an idle worker', async () => {
    const { queue, handler } = await fixture.start({ pollSeconds: 30, leaseSeconds: 30 });
    await queue.enqueue(aTask());
    await handler.run(1);
    const { taskId } = await queue.enqueue(keyed('k'));
    await fixture.becomes(taskId, 'completed');
    expect(await queue.enqueue(keyed('k'))).toMatchObject({ taskId, replayed: true });
    expect(handler.runs).toHaveLength(2);
  });

  it('replays although the task is gone, and not any more when the key has expired', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(keyed('k'));
    await fixture.query(`
      BEGIN; SET LOCAL session_replication_role = replica;
      DELETE FROM queue_tasks; DELETE FROM queue_ready; DELETE FROM queue_task_events; DELETE FROM queue_counters; COMMIT`);
    expect(await queue.enqueue(keyed('k'))).toMatchObject({ taskId, replayed: true });
    await fixture.query(`UPDATE queue_idempotency SET expires_at = now() - interval '1 second'`);
    const again = await queue.enqueue(keyed('k', 'other'));
    expect(again.replayed).toBe(false);
    expect(await stored()).toEqual([again.taskId]);
    expect(await queue.enqueue(keyed('k', 'other'))).toMatchObject({ taskId: again.taskId, replayed: true });
  });

  it('keeps its key for as long as the options say; expired ones are removed', async () => {
    const { queue } = await fixture.start({ idempotencyHours: 2 });
    await queue.enqueue(keyed('k'));
    const [row] = await fixture.query(
      `SELECT extract(epoch FROM expires_at - now()) / 3600 AS hours FROM queue_idempotency`,
    );
    expect(Number(row!.hours)).toBeGreaterThan(1.9);
    expect(Number(row!.hours)).toBeLessThanOrEqual(2);
    await fixture.query(`UPDATE queue_idempotency SET expires_at = now() - interval '1 second'`);
    await fixture.start();
    await until('it is gone', async () => (await fixture.query('SELECT FROM queue_idempotency')).length === 0);
  });
});

describe('a task with both keys', () => {
  const both = (key: string, whenFull: 'queue' | 'reject') => ({
    ...keyed(key),
    concurrency: { key: 'app', whenFull },
  });

  it('is replayed, and not refused, where it holds the slot itself', async () => {
    const { queue } = await fixture.startApi();
    const first = await queue.enqueue(both('k', 'reject'));
    expect(await queue.enqueue(both('k', 'reject'))).toMatchObject({ taskId: first.taskId, replayed: true });
    await expect(queue.enqueue(both('other', 'reject'))).rejects.toMatchObject({ name: 'KeyBusyError' });
    // A refusal leaves nothing under its key.
    expect(await fixture.query('SELECT key FROM queue_idempotency')).toEqual([{ key: 'k' }]);
  });

  it('is admitted as any other', async () => {
    const { queue } = await fixture.start();
    const { taskId } = await queue.enqueue(both('k', 'queue'));
    await fixture.becomes(taskId, 'completed');
  });
});

describe('a key in the transaction of the caller', () => {
  it('stands and falls with it', async () => {
    const { queue, module } = await fixture.startApi();
    const dataSource = module.get(DataSource);
    const failing = dataSource.transaction(async (manager) => {
      await queue.enqueue(keyed('k'), { manager });
      expect(await queue.enqueue(keyed('k'), { manager })).toMatchObject({ replayed: true });
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(await stored()).toEqual([]);
    const { taskId, replayed } = await dataSource.transaction((manager) => queue.enqueue(keyed('k'), { manager }));
    expect(replayed).toBe(false);
    expect(await queue.enqueue(keyed('k'))).toMatchObject({ taskId, replayed: true });
    const conflict = dataSource.transaction((manager) => queue.enqueue(keyed('k', 'other'), { manager }));
    await expect(conflict).rejects.toThrow(IdempotencyConflictError);
  });

  it('holds up nobody but those who want it', async () => {
    const { queue, module } = await fixture.startApi();
    await module.get(DataSource).transaction(async (manager) => {
      const { taskId } = await queue.enqueue(keyed('k'), { manager });
      const results = await Promise.allSettled([queue.enqueue(keyed('k')), queue.enqueue(keyed('free'))]);
      expect(results).toMatchObject([{ reason: { name: 'QueueBusyError' } }, { value: { replayed: false } }]);
      return taskId;
    });
    expect(await queue.enqueue(keyed('k'))).toMatchObject({ replayed: true });
  });
});

describe('when the answer to a statement that has committed is lost', () => {
  let proxy: LossyProxy;
  beforeEach(() => (proxy = new LossyProxy(new URL(fixture.url))));
  afterEach(() => proxy.close());

  it('a task finds itself under its key', async () => {
    const { queue } = await fixture.start({ workers: 0, leaseSeconds: 30, url: await proxy.listen() });
    const before = await queue.enqueue(keyed('before'));
    const lost = proxy.loseAnswerTo(enqueueOnce);
    const answers = await Promise.all([
      queue.enqueue(keyed('k')),
      queue.enqueue(keyed('k')),
      queue.enqueue(keyed('before')),
    ]);
    await lost;
    expect(answers.map(({ replayed }) => replayed)).toEqual([false, true, true]);
    expect(answers[2].taskId).toBe(before.taskId);
    expect(await stored()).toEqual([before.taskId, answers[0].taskId]);
  });

  it('a task that a worker got with it runs once', async () => {
    const { queue, handler } = await fixture.start({ leaseSeconds: 30, pollSeconds: 30, url: await proxy.listen() });
    await fixture.listening(1);
    await queue.enqueue(aTask());
    await handler.run(1);
    const lost = proxy.loseAnswerTo(enqueueOnceTaking);
    const { taskId, replayed } = await queue.enqueue(keyed('k'));
    await lost;
    expect(replayed).toBe(false);
    await fixture.becomes(taskId, 'completed');
    expect(handler.counts.get(taskId)).toBe(1);
  });
});
