import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { aTask, completes, failure } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

/** Somebody edits these tasks in `psql` and has gone for coffee. */
async function holds(...taskIds: string[]): Promise<pg.Client> {
  const hand = await fixture.hand('ada');
  await hand.query('BEGIN');
  await hand.query(`UPDATE queue_tasks SET metadata = metadata || '{"seen": true}' WHERE task_id = ANY($1)`, [taskIds]);
  return hand;
}

const idsOf = (enqueued: { taskId: string }[]) => enqueued.map(({ taskId }) => taskId);

describe('a task whose row somebody holds locked', () => {
  it('is gone round by claims, and claimed when it is free', async () => {
    const { queue } = await fixture.startApi();
    const held = await queue.enqueue(aTask({ priority: 'urgent' }));
    const ids = idsOf(await queue.enqueueMany(Array.from({ length: 50 }, () => aTask())));
    const hand = await holds(held.taskId);
    // One claim a task: were each to wait for a lock timeout, they would take 25 s.
    const { handler } = await fixture.start({ workers: 1 });
    await fixture.allBecome(ids, 'completed');
    expect((await fixture.task(held.taskId)).status).toBe('pending');
    expect(handler.runs).toHaveLength(50);
    await hand.query('COMMIT');
    expect(await fixture.becomes(held.taskId, 'completed')).toMatchObject({ metadata: { seen: true }, attempt: 1 });
  });

  it('does not hold up the finishes of others, and finishes itself when it is free', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ workers: 12, behaviour: gate.hold });
    const ids = idsOf(await queue.enqueueMany(Array.from({ length: 12 }, () => aTask())));
    await handler.run(12);
    // First, last and middle: however a batch is cut, one of them is in it.
    const held = [ids[0]!, ids[5]!, ids[11]!];
    const others = ids.filter((id) => !held.includes(id));
    const hand = await holds(...held);
    gate.release();
    await fixture.allBecome(others, 'completed');
    // So do those that come later, one by one.
    for (let n = 0; n < 5; n++) {
      const { taskId } = await queue.enqueue(aTask());
      await fixture.becomes(taskId, 'completed');
    }
    await fixture.allBecome(held, 'running');
    await hand.query('COMMIT');
    await fixture.allBecome(held, 'completed');
    expect([...handler.counts.values()]).toEqual(Array(17).fill(1));
  });

  it('does not hold up the promotion of others', async () => {
    const { queue } = await fixture.startApi();
    const ids = idsOf(await queue.enqueueMany(Array.from({ length: 5 }, () => aTask({ delaySeconds: 60 }))));
    const hand = await holds(ids[0]!);
    await fixture.query(`UPDATE queue_scheduled SET run_at = now() - interval '1 s'`);
    await fixture.start();
    await fixture.allBecome(ids.slice(1), 'completed');
    await hand.query('COMMIT');
    await fixture.becomes(ids[0]!, 'completed');
  });

  it('does not hold up the rescue of others', async () => {
    const { queue } = await fixture.startApi();
    const ids = idsOf(await queue.enqueueMany([aTask(), aTask(), aTask()]));
    const dead = await fixture.start({ leaseSeconds: 600, pollSeconds: 600, behaviour: fixture.gate().hold });
    await dead.handler.run(3);
    const hand = await holds(ids[0]!);
    await fixture.expire(dead.id);
    await fixture.start();
    await fixture.allBecome(ids.slice(1), 'completed');
    const later = await queue.enqueue(aTask({ delaySeconds: 0.01 }));
    await fixture.becomes(later.taskId, 'completed');
    await hand.query('COMMIT');
    expect(await fixture.becomes(ids[0]!, 'completed')).toMatchObject({ attempt: 2, crashes: 1 });
    await until('the dead instance is buried', async () => {
      return (await fixture.query('SELECT FROM queue_instances WHERE id = $1', [dead.id])).length === 0;
    });
  });

  it('does not hold up the repair of others', async () => {
    const { queue } = await fixture.startApi();
    const ids = idsOf(await queue.enqueueMany([aTask(), aTask(), aTask()]));
    const hand = await holds(ids[0]!);
    await fixture.query('DELETE FROM queue_ready');
    await fixture.start();
    await fixture.allBecome(ids.slice(1), 'completed');
    await hand.query('COMMIT');
    await fixture.becomes(ids[0]!, 'completed');
  });

  it('does not hold up the end of others in a drain', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ behaviour: gate.hold, shutdownGraceSeconds: 0.05 });
    const ids = idsOf(await queue.enqueueMany([aTask(), aTask(), aTask()]));
    await handler.run(3);
    const hand = await holds(ids[0]!);
    const drained = queue.drain();
    await fixture.allBecome(ids.slice(1), 'pending');
    await hand.query('COMMIT');
    await drained;
    expect(await fixture.task(ids[0]!)).toMatchObject({ status: 'pending', crashes: 0, failures: 0 });
  });
});

describe('claims of several instances at once', () => {
  it('take each task once', async () => {
    const { queue, store } = await fixture.startApi();
    await queue.enqueueMany(Array.from({ length: 60 }, () => aTask()));
    await fixture.query(`
      INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
      SELECT 'instance-' || n, now() + interval '1 min', 'h', 1, '', 1 FROM generate_series(1, 6) n`);
    const claims = await Promise.all(
      Array.from({ length: 18 }, (_, n) => store.claim(5, `instance-${(n % 6) + 1}`, randomUUID())),
    );
    const taken = claims.flat().map(({ taskId }) => taskId);
    expect(new Set(taken).size).toBe(taken.length);
    const left = await store.claim(100, 'instance-1', randomUUID());
    expect(taken.length + left.length).toBe(60);
    expect(claims.every((claim) => claim.length <= 5)).toBe(true);
  });
});

describe('finishes, cancels, and hands that meet', () => {
  it('end every task, in an order that the ledger can tell', async () => {
    const { queue, handler } = await fixture.start({
      workers: 30,
      behaviour: (run) => (Number(run.task.appName) % 3 ? completes(run) : Promise.resolve(failure('flaky'))),
    });
    const tasks = Array.from({ length: 150 }, (_, n) => aTask({ appName: String(n), maxAttempts: 2 }));
    const ids = idsOf(await queue.enqueueMany(tasks));
    const hand = await fixture.hand('ada');
    await handler.run(10);
    const cancels = ids.filter((_, n) => n % 2).map((id) => queue.cancel(id, { actor: 'ada' }).catch(() => undefined));
    for (let n = 0; n < 10; n++) {
      // Many rows in no order at all: this can deadlock with the engine, which then tries again.
      await hand
        .query(`UPDATE queue_tasks SET metadata = '{}' WHERE random() < 0.3`)
        .catch((error: pg.DatabaseError) => expect(error.code).toBe('40P01'));
    }
    await Promise.all(cancels);
    await until('all have ended or wait for another try', async () => {
      await fixture.query('UPDATE queue_scheduled SET run_at = now()');
      const sql = `SELECT FROM queue_tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')`;
      return (await fixture.query(sql)).length === 0;
    });
    const [{ completed, failed }] = (await fixture.query(`
      SELECT count(*) FILTER (WHERE status = 'completed')::int AS completed,
             count(*) FILTER (WHERE status = 'failed')::int AS failed FROM queue_tasks`)) as [Record<string, number>];
    expect(completed).toBeGreaterThanOrEqual(50);
    expect(failed).toBeGreaterThanOrEqual(25);
  });
});
