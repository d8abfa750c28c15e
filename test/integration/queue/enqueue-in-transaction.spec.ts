import { DataSource } from 'typeorm';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();

describe('enqueue in the transaction of the caller', () => {
  it('stands with it: nobody sees the task before the commit, and it runs after', async () => {
    const instance = await fixture.start();
    const dataSource = instance.module.get(DataSource);
    const taskId = await dataSource.transaction(async (manager) => {
      const enqueued = await instance.queue.enqueue(aTask({ metadata: { user: 'ada' } }), { manager });
      expect(await fixture.query('SELECT FROM queue_tasks')).toEqual([]);
      return enqueued.taskId;
    });
    expect((await instance.handler.run(1)).task.taskId).toBe(taskId);
    await fixture.becomes(taskId, 'completed');
    expect((await fixture.events(taskId))[0]).toMatchObject({ to_status: 'pending', actor: 'ada' });
  });

  it('wakes the workers with the commit, not with the next poll', async () => {
    const worker = await fixture.start({ pollSeconds: 30, leaseSeconds: 30 });
    await fixture.listening(1);
    const api = await fixture.startApi();
    const { taskId } = await api.module.get(DataSource).transaction(async (manager) => {
      const enqueued = await api.queue.enqueue(aTask(), { manager });
      await manager.query('SELECT 1');
      return enqueued;
    });
    await worker.handler.run(1);
    const row = await fixture.becomes(taskId, 'completed');
    expect(row.started_at - row.enqueued_at).toBeLessThan(10_000);
  });

  it('falls with it', async () => {
    const instance = await fixture.start();
    const dataSource = instance.module.get(DataSource);
    const failing = dataSource.transaction(async (manager) => {
      await instance.queue.enqueue(aTask(), { manager });
      await instance.queue.enqueue(aTask({ delaySeconds: 60 }), { manager });
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    const { taskId } = await instance.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    expect(await fixture.query('SELECT task_id FROM queue_tasks')).toEqual([{ task_id: taskId }]);
    expect(instance.handler.runs).toHaveLength(1);
    expect(instance.metrics.snapshot().enqueued).toBe(1);
  });
});
