import { randomUUID } from 'node:crypto';
import { QueueRuntime } from '../../../src/queue/queue-runtime.js';
import { abortion, aTask, completes, failure, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const instances = () => fixture.query('SELECT id, draining FROM queue_instances');

describe('a drain', () => {
  it('lets running tasks finish within the grace, and claims no more', async () => {
    const gate = fixture.gate();
    const { queue, handler, store, id } = await fixture.start({ workers: 1, behaviour: gate.hold });
    const [first, second] = await queue.enqueueMany([aTask({ priority: 'high' }), aTask()]);
    const run = await handler.run(1);
    const drained = queue.drain();
    expect(queue.draining).toBe(true);
    await until('it says that it drains', async () => (await instances())[0]?.draining === true);
    expect(await store.claim(1, id, randomUUID())).toEqual([]);
    expect(run.signal.aborted).toBe(false);
    gate.release();
    await drained;
    expect((await fixture.task(first!.taskId)).status).toBe('completed');
    expect(await fixture.task(second!.taskId)).toMatchObject({ status: 'pending', attempt: 0 });
    expect(handler.runs).toHaveLength(1);
    expect(await instances()).toEqual([]);
  });

  it('hands back what takes longer, at no cost, and another instance takes it over', async () => {
    const { queue, handler, id, metrics } = await fixture.start({ behaviour: untilAborted, shutdownGraceSeconds: 0.1 });
    const { taskId } = await queue.enqueue(aTask({ priority: 'high' }));
    const run = await handler.run(1);
    await run.journal.beginSteps([{ name: 'plan', type: 'bash' }]);
    await run.journal.startStep(0);
    await queue.drain();
    expect(run.signal.reason).toBe('shutdown');
    const row = await fixture.task(taskId);
    expect(row).toMatchObject({ status: 'pending', attempt: 1, failures: 0, crashes: 0, cause: null, instance: null });
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      from_status: 'running',
      to_status: 'pending',
      cause: 'handed_back',
      actor: `worker:${id}`,
    });
    expect(metrics.snapshot()).toMatchObject({ handedBack: 1, failed: 0, lost: 0 });
    expect(await instances()).toEqual([]);

    const other = await fixture.start({ behaviour: completes });
    expect((await other.handler.run(1)).task).toMatchObject({ taskId, attempt: 2, failures: 0 });
    await fixture.becomes(taskId, 'completed');
  });

  it('waits for the grace, which drainNow ends at once', async () => {
    const { module, queue, handler } = await fixture.start({ behaviour: untilAborted, shutdownGraceSeconds: 600 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    const drained = queue.drain();
    await until('it says that it drains', async () => (await instances())[0]?.draining === true);
    expect(run.signal.aborted).toBe(false);
    module.get(QueueRuntime).drainNow();
    await drained;
    expect(run.signal.reason).toBe('shutdown');
    expect((await fixture.task(taskId)).status).toBe('pending');
  });

  it('keeps the lease while it waits', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({
      behaviour: gate.hold,
      leaseSeconds: 0.9,
      shutdownGraceSeconds: 60,
    });
    const { taskId } = await queue.enqueue(aTask());
    const { lease, signal } = await handler.run(1);
    const drained = queue.drain();
    const expected = lease.deadline() + 1_000;
    while (lease.deadline() < expected) await new Promise<void>((resolve) => lease.onRenewed(resolve));
    expect(signal.aborted).toBe(false);
    gate.release();
    await drained;
    expect(await fixture.task(taskId)).toMatchObject({ status: 'completed', attempt: 1 });
  });

  it('carries out a cancel instead of handing back', async () => {
    const { queue, handler, store, metrics } = await fixture.start({
      behaviour: untilAborted,
      shutdownGraceSeconds: 0.05,
      leaseSeconds: 60,
    });
    const { taskId } = await queue.enqueue(aTask());
    const { task } = await handler.run(1);
    await store.requestCancel(task.id, { actor: 'ada' }, 'enough');
    await queue.drain();
    expect(await fixture.task(taskId)).toMatchObject({ status: 'cancelled', error_message: 'enough' });
    expect(metrics.snapshot()).toMatchObject({ cancelled: 1, handedBack: 0 });
  });

  it('records what ended all the same when the grace was over', async () => {
    const { queue, handler } = await fixture.start({
      shutdownGraceSeconds: 0.05,
      behaviour: async (run) => {
        await abortion(run);
        return run.task.appName === 'bad' ? failure('bad') : { status: 'completed' };
      },
    });
    const [good, bad] = await queue.enqueueMany([aTask(), aTask({ appName: 'bad' })]);
    await handler.run(2);
    await queue.drain();
    expect((await fixture.task(good!.taskId)).status).toBe('completed');
    expect(await fixture.task(bad!.taskId)).toMatchObject({ status: 'failed', error_message: 'bad' });
  });

  it('is one, however often it is asked for', async () => {
    const { queue, handler } = await fixture.start({ behaviour: untilAborted, shutdownGraceSeconds: 0.1 });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    const drains = [queue.drain(), queue.drain()];
    expect(drains[0]).toBe(drains[1]);
    await Promise.all([...drains, queue.drain()]);
    expect(await fixture.way(taskId)).toBe('pending running pending');
  });

  it('of an instance without workers has nothing to wait for', async () => {
    const { queue } = await fixture.startApi();
    expect(await instances()).toEqual([]);
    await queue.drain();
    expect(queue.draining).toBe(true);
  });
});
