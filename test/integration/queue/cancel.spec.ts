import { TaskNotFoundError, TaskStateError } from '../../../src/queue/queue-errors.js';
import { abortion, aTask, failure, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const ada = { actor: 'ada', requestId: 'req-cancel' };

describe('the cancel of a task that waits', () => {
  it.each([
    ['pending', aTask()],
    ['scheduled', aTask({ delaySeconds: 60 })],
  ])('takes place at once: %s', async (status, task) => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(task);
    expect(await queue.cancel(taskId, ada, 'wrong cluster')).toBe('cancelled');
    const row = await fixture.task(taskId);
    expect(row).toMatchObject({ status: 'cancelled', cause: 'cancelled', error_message: 'wrong cluster' });
    expect(row.completed_at).not.toBeNull();
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      from_status: status,
      to_status: 'cancelled',
      actor: 'ada',
      cause: 'cancelled',
      request_id: 'req-cancel',
      detail: { error_message: 'wrong cluster' },
    });
  });

  it('takes place at once: retrying', async () => {
    const { queue, handler } = await fixture.start({ behaviour: async () => failure('flaky') });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2 }));
    await fixture.becomes(taskId, 'retrying');
    await fixture.query(`UPDATE queue_scheduled SET run_at = now() + interval '1 hour'`);
    expect(await queue.cancel(taskId, ada)).toBe('cancelled');
    expect(await fixture.task(taskId)).toMatchObject({ cause: 'cancelled', error_message: 'cancelled', failures: 1 });
    expect(handler.runs).toHaveLength(1);
  });

  it('finds a task whose narrow row is gone', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await fixture.query('DELETE FROM queue_ready');
    expect(await queue.cancel(taskId, ada)).toBe('cancelled');
    expect((await fixture.task(taskId)).status).toBe('cancelled');
  });
});

describe('the cancel of a running task', () => {
  it('tells the run to stop, and the task is cancelled when it has', async () => {
    const { queue, handler } = await fixture.start({
      behaviour: async (run) => {
        await abortion(run);
        return failure('killed by SIGTERM');
      },
    });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    const run = await handler.run(1);
    expect(await queue.cancel(taskId, ada, 'wrong cluster')).toBe('running');
    expect(await abortion(run)).toBe('cancelled');
    const row = await fixture.becomes(taskId, 'cancelled');
    expect(row).toMatchObject({ cause: 'cancelled', error_message: 'wrong cluster', failures: 0 });
    expect(await fixture.events(taskId, 'operator')).toMatchObject([
      {
        actor: 'ada',
        attempt: 1,
        cause: 'cancel_requested',
        detail: { reason: 'wrong cluster' },
        request_id: 'req-cancel',
      },
    ]);
    expect(await fixture.way(taskId)).toBe('pending running cancelled');
  });

  it('reaches the other instance that runs it', async () => {
    const worker = await fixture.start({ behaviour: fixture.gate().hold, leaseSeconds: 60 });
    await fixture.listening(1);
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const run = await worker.handler.run(1);
    // The worker's next heartbeat is 20 s away: this is the notification.
    await queue.cancel(taskId, ada);
    expect(await abortion(run)).toBe('cancelled');
    await fixture.becomes(taskId, 'cancelled');
  });

  it('is found by the heartbeat when the notification was lost', async () => {
    const worker = await fixture.start({ behaviour: fixture.gate().hold, leaseSeconds: 1.5 });
    const { store, queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const run = await worker.handler.run(1);
    expect(await store.requestCancel(run.task.id, ada, 'quietly')).toBe(worker.id);
    expect(await abortion(run)).toBe('cancelled');
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ error_message: 'quietly' });
  });

  it('comes too late for a run that completes all the same', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ behaviour: gate.holdDeaf });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    await queue.cancel(taskId, ada);
    await abortion(run);
    gate.release({ status: 'completed', result: { done: true } });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ cause: null, result: { done: true } });
  });

  it('wins over a failure that would be tried again', async () => {
    const gate = fixture.gate();
    const { store, queue, handler } = await fixture.start({ behaviour: gate.holdDeaf, leaseSeconds: 60 });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    const run = await handler.run(1);
    // The instance does not know of it yet.
    await store.requestCancel(run.task.id, ada, 'enough');
    gate.release(failure('flaky'));
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ cause: 'cancelled', error_message: 'enough' });
    expect(run.signal.aborted).toBe(false);
  });

  it('can be asked for twice', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ behaviour: gate.holdDeaf });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    expect(await queue.cancel(taskId, ada, 'first')).toBe('running');
    expect(await queue.cancel(taskId, ada, 'second')).toBe('running');
    expect(await fixture.events(taskId, 'operator')).toHaveLength(2);
    gate.release({ status: 'aborted' });
    await fixture.becomes(taskId, 'cancelled');
  });
});

describe('a cancel', () => {
  it.each(['completed', 'failed', 'cancelled'] as const)('of a task that is %s is refused', async (status) => {
    const outcome = status === 'failed' ? failure('bad') : ({ status: 'completed' } as const);
    const { queue } = await fixture.start({ behaviour: async () => outcome });
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: status === 'cancelled' ? 60 : 0 }));
    if (status === 'cancelled') await queue.cancel(taskId, ada);
    await fixture.becomes(taskId, status);
    const refusal = await queue.cancel(taskId, ada).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(TaskStateError);
    expect(refusal).toMatchObject({ taskId, status, message: `the task is ${status}: there is nothing to cancel` });
  });

  it('of a task that is not there is refused', async () => {
    const { queue } = await fixture.startApi();
    await expect(queue.cancel('task-none', ada)).rejects.toBeInstanceOf(TaskNotFoundError);
  });

  it('that meets the claim of its task never leaves it in between', async () => {
    const { queue } = await fixture.startApi();
    const worker = await fixture.start({ workers: 20, behaviour: untilAborted });
    const ids: string[] = [];
    for (let round = 0; round < 10; round++) {
      const enqueued = await queue.enqueueMany(Array.from({ length: 20 }, () => aTask()));
      const answers = await Promise.all(enqueued.map(({ taskId }) => queue.cancel(taskId, ada)));
      expect(answers.every((answer) => answer === 'cancelled' || answer === 'running')).toBe(true);
      ids.push(...enqueued.map(({ taskId }) => taskId));
    }
    await fixture.allBecome(ids, 'cancelled');
    const ways = new Set(await Promise.all(ids.map((id) => fixture.way(id))));
    expect([...ways].filter((way) => !['pending cancelled', 'pending running cancelled'].includes(way))).toEqual([]);
    expect(worker.metrics.snapshot().lost).toBe(0);
  });
});
