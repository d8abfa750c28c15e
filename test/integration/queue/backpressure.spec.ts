import { DataSource } from 'typeorm';
import { AppQueueFullError, QueueFullError } from '../../../src/queue/backpressure.js';
import { aTask, type InstanceOptions } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const ADA = { actor: 'ada' };
const count = async () => (await fixture.query('SELECT count(*)::int AS n FROM queue_tasks'))[0]!.n as number;
const api = (options: InstanceOptions) => fixture.start({ workers: 0, ...options });

describe('a full queue', () => {
  it('refuses new tasks, one or many, in a transaction too, and stores none of them', async () => {
    const { queue, module } = await api({ capacity: 3 });
    await queue.enqueueMany([aTask(), aTask()]);
    await expect(queue.enqueueMany([aTask(), aTask()])).rejects.toThrow(QueueFullError);
    await queue.enqueue(aTask());
    const refused = await queue.enqueue(aTask()).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(QueueFullError);
    expect(refused).toMatchObject({ capacity: 3, retryAfterSeconds: expect.any(Number) });
    const inTransaction = module.get(DataSource).transaction((manager) => queue.enqueue(aTask(), { manager }));
    await expect(inTransaction).rejects.toThrow(QueueFullError);
    await expect(queue.enqueue(aTask({ delaySeconds: 60 }))).rejects.toThrow(QueueFullError);
    expect(await count()).toBe(3);
    expect(await queue.getStats()).toMatchObject({ queue_size: 3, queue_capacity: 3 });
  });

  it('is known to an instance that has just started, and to one that others filled', async () => {
    const early = await api({ capacity: 2 });
    const other = await api({});
    await other.queue.enqueueMany([aTask(), aTask()]);
    await until('it has looked', () => early.metrics.queueSize === 2);
    await expect(early.queue.enqueue(aTask())).rejects.toThrow(QueueFullError);
    const late = await api({ capacity: 2 });
    await expect(late.queue.enqueue(aTask())).rejects.toThrow(QueueFullError);
  });

  it('takes what is already in it: retries, what is due, and what the system itself submits', async () => {
    const front = await api({ capacity: 2 });
    const done = await front.queue.enqueue(aTask());
    await front.queue.cancel(done.taskId, ADA);
    const due = await front.queue.enqueue(aTask({ delaySeconds: 3_600 }));
    await until('it has looked', () => front.metrics.queueSize === 0);
    await front.queue.enqueueMany([aTask(), aTask()]);
    await front.queue.retry(done.taskId, ADA);
    await front.queue.enqueue(aTask(), { evenWhenFull: true });
    await front.queue.enqueueMany([aTask()], { evenWhenFull: true });
    expect(await count()).toBe(6);
    const worker = await fixture.start({ capacity: 1 });
    await fixture.query(`UPDATE queue_scheduled SET run_at = now() - interval '1 second'`);
    await fixture.becomes(due.taskId, 'completed');
    await until('there is room again', () => front.metrics.queueSize === 0);
    await front.queue.enqueue(aTask());
    await worker.handler.run(7);
  });

  it('still answers whoever repeats a submission that it took', async () => {
    const { queue } = await api({ capacity: 1 });
    const idempotency = { principal: 'ada', key: 'k', bodyHash: 'h' };
    const { taskId } = await queue.enqueue(aTask({ idempotency }));
    expect(await queue.enqueue(aTask({ idempotency }))).toEqual({ taskId, replayed: true });
    const other = { ...idempotency, key: 'other' };
    await expect(queue.enqueue(aTask({ idempotency: other }))).rejects.toThrow(QueueFullError);
  });
});

describe('an application with too many tasks waiting', () => {
  it('is refused more, and others are not', async () => {
    const { queue } = await api({ maxPendingPerApp: 2 });
    const busy = () => aTask({ appName: 'busy' });
    await queue.enqueueMany([busy(), busy(), aTask()]);
    const refused = await queue.enqueue(busy()).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AppQueueFullError);
    expect(refused).toMatchObject({ appName: 'busy', limit: 2 });
    await expect(queue.enqueueMany([aTask({ appName: 'idle' }), busy()])).rejects.toThrow(AppQueueFullError);
    await queue.enqueue(aTask());
    const late = await api({ maxPendingPerApp: 2 });
    await expect(late.queue.enqueue(busy())).rejects.toThrow(AppQueueFullError);
    await late.queue.enqueue(aTask({ appName: 'idle' }));
    expect(await count()).toBe(5);
  });

  it('is let in again when its tasks have run', async () => {
    const { queue } = await api({ maxPendingPerApp: 1 });
    const { taskId } = await queue.enqueue(aTask());
    await expect(queue.enqueue(aTask())).rejects.toThrow(AppQueueFullError);
    await fixture.start();
    await fixture.becomes(taskId, 'completed');
    await until('there is room', () =>
      queue.enqueue(aTask()).then(
        () => true,
        () => false,
      ),
    );
  });
});

describe('how fast tasks end', () => {
  it('is known to every instance, from the counters', async () => {
    const front = await api({});
    expect((await front.queue.getStats()).completed_per_minute).toBeNull();
    const worker = await fixture.start();
    await front.queue.enqueueMany([aTask(), aTask(), aTask()]);
    for (const { queue } of [front, worker]) {
      await until('it is known', async () => ((await queue.getStats()).completed_per_minute ?? 0) > 0);
    }
  });
});
