import { randomUUID } from 'node:crypto';
import { abortion, aTask, completes, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

describe('an instance whose lease is over', () => {
  it('is rescued from by another, its run is told that it is lost, and its late result counts for nothing', async () => {
    const gate = fixture.gate();
    const first = await fixture.start({ behaviour: gate.holdDeaf, leaseSeconds: 3 });
    const lost = first.id;
    const { taskId } = await first.queue.enqueue(aTask());
    const zombie = await first.handler.run(1);
    const second = await fixture.start({ behaviour: async () => ({ status: 'completed', result: { by: 'second' } }) });
    first.handler.behaviour = second.handler.behaviour;
    await fixture.expire(lost);

    expect(await abortion(zombie)).toBe('lost');
    const row = await fixture.becomes(taskId, 'completed');
    expect(row).toMatchObject({ attempt: 2, crashes: 1, failures: 0, result: { by: 'second' } });
    gate.release({ status: 'completed', result: { by: 'zombie' } });
    await until('its result is thrown away', () => first.metrics.snapshot().lost === 1);
    expect(await fixture.task(taskId)).toEqual(row);
    const events = await fixture.events(taskId);
    expect(events.map(({ to_status, attempt, cause }) => [to_status, attempt, cause])).toEqual([
      ['pending', 0, null],
      ['running', 1, null],
      ['pending', 1, 'lease_lost'],
      ['running', 2, null],
      ['completed', 2, null],
    ]);
    expect(events[1]!.actor).toBe(`worker:${lost}`);
    expect(events[2]!.actor).toMatch(/^rescuer:/);
  });

  it('cannot finish what it does not know to have lost', async () => {
    const gate = fixture.gate();
    // Its next heartbeat is 20 s away.
    const zombie = await fixture.start({ behaviour: gate.hold, leaseSeconds: 60 });
    const { taskId } = await zombie.queue.enqueue(aTask());
    await zombie.handler.run(1);
    const later = fixture.gate();
    const other = await fixture.start({ behaviour: later.hold });
    await fixture.expire(zombie.id);
    await other.handler.run(1);
    gate.release({ status: 'completed', result: { by: 'zombie' } });
    await until('its result is refused', () => zombie.metrics.snapshot().lost === 1);
    expect(zombie.metrics.snapshot().completed).toBe(0);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'running', attempt: 2, result: null });
    expect(await fixture.query('SELECT instance FROM queue_leases')).toEqual([{ instance: other.id }]);
    later.release();
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2, instance: other.id });
  });

  it('joins again under a new id, and works on', async () => {
    const instance = await fixture.start();
    const before = instance.id;
    await fixture.expire(before);
    await until('it has a new id', () => instance.id !== '' && instance.id !== before);
    const { taskId } = await instance.queue.enqueue(aTask());
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ instance: instance.id });
    await until('the old life is buried', async () => {
      const rows = await fixture.query('SELECT id FROM queue_instances');
      return rows.length === 1 && rows[0]!.id === instance.id;
    });
  });

  it('takes its own task again, as a new attempt, while it still holds the old run', async () => {
    const gate = fixture.gate();
    const { queue, handler, metrics } = await fixture.start({ behaviour: gate.holdDeaf, workers: 2 });
    const { taskId } = await queue.enqueue(aTask());
    const old = await handler.run(1);
    handler.behaviour = completes;
    await fixture.query(`UPDATE queue_instances SET expires_at = now() - interval '1 s'`);
    expect((await handler.run(2)).task).toMatchObject({ taskId, attempt: 2 });
    await fixture.becomes(taskId, 'completed');
    expect(old.signal.reason).toBe('lost');
    gate.release();
    await until('the old run is thrown away', () => metrics.snapshot().lost === 1);
  });

  it('claims nothing', async () => {
    const { store, queue, id } = await fixture.start({ leaseSeconds: 60, behaviour: untilAborted, workers: 1 });
    await queue.enqueueMany([aTask(), aTask()]);
    await until('it is busy', async () => (await queue.getStats()).active_tasks === 1);
    expect(await store.claim(0, id, randomUUID())).toEqual([]);
    await fixture.expire(id);
    expect(await store.claim(1, id, randomUUID())).toEqual([]);
    expect(await store.claim(1, 'nobody', randomUUID())).toEqual([]);
    await fixture.query(`UPDATE queue_instances SET expires_at = now() + interval '1 min', draining = true`);
    expect(await store.claim(1, id, randomUUID())).toEqual([]);
    await fixture.query('UPDATE queue_instances SET draining = false');
    expect(await store.claim(1, id, randomUUID())).toHaveLength(1);
  });
});

describe('an instance that cannot renew', () => {
  it('tells its runs to stop before the lease is over, whether or not the database answers', async () => {
    const { handler, queue } = await fixture.start({ behaviour: untilAborted, leaseSeconds: 1.5 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    const hand = await fixture.hand();
    await hand.query('BEGIN; SELECT FROM queue_instances FOR UPDATE');
    expect(await abortion(run)).toBe('lost');
    const [row] = (await hand.query('SELECT expires_at > clock_timestamp() AS alive FROM queue_instances')).rows;
    expect(row).toEqual({ alive: true });
    handler.behaviour = completes;
    await hand.query('COMMIT');
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2 });
  });
});

describe('the lease of a run', () => {
  it('has a deadline before its end in the database, and tells when it was renewed', async () => {
    const { handler, queue } = await fixture.start({ behaviour: untilAborted, leaseSeconds: 1.5 });
    await queue.enqueue(aTask());
    const { lease, signal } = await handler.run(1);
    const first = lease.deadline();
    expect(first - performance.now()).toBeLessThan(1_500 * 0.8);
    await new Promise<void>((resolve) => {
      const stop = lease.onRenewed(() => {
        stop();
        resolve();
      });
    });
    expect(lease.deadline()).toBeGreaterThan(first);
    expect(signal.aborted).toBe(false);
  });
});

describe('a lease that no run of its instance knows', () => {
  it('is handed back by the next heartbeat, at no cost', async () => {
    const api = await fixture.startApi();
    const instance = await fixture.start({ leaseSeconds: 1.5, workers: 1, behaviour: untilAborted });
    await api.queue.enqueue(aTask());
    await instance.handler.run(1);
    const { taskId } = await api.queue.enqueue(aTask({ priority: 'urgent' }));
    // A claim in the instance's name whose answer nobody got.
    const [stray] = await api.store.claim(1, instance.id, randomUUID());
    expect(stray).toMatchObject({ taskId, attempt: 1 });
    expect(await fixture.becomes(taskId, 'pending')).toMatchObject({ crashes: 0, failures: 0, attempt: 1 });
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      from_status: 'running',
      cause: 'handed_back',
      actor: `worker:${instance.id}`,
    });
  });
});
