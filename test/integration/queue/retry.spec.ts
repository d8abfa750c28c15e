import { TaskNotFoundError, TaskStateError } from '../../../src/queue/queue-errors.js';
import { aTask, completes, failure } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const ada = { actor: 'ada', requestId: 'req-retry' };

describe('the retry of a task that has ended', () => {
  it('runs a failed one again with fresh budgets; its dead letter goes away', async () => {
    const { queue, handler } = await fixture.start({ behaviour: async () => failure('no credentials') });
    const { taskId } = await queue.enqueue(aTask({ priority: 'high' }));
    await fixture.becomes(taskId, 'failed');
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toHaveLength(1);

    const gate = fixture.gate();
    handler.behaviour = gate.hold;
    await queue.retry(taskId, ada);
    expect((await handler.run(2)).task).toMatchObject({ taskId, attempt: 2, failures: 0 });
    const row = await fixture.task(taskId);
    expect(row).toMatchObject({ status: 'running', failures: 0, crashes: 0, cause: null, error_message: null });
    expect(row).toMatchObject({ completed_at: null, result: null });
    expect(row.start_by - row.run_at).toBe(60_000);
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toEqual([]);
    expect((await fixture.events(taskId))[3]).toMatchObject({
      from_status: 'failed',
      to_status: 'pending',
      actor: 'ada',
      cause: 'redriven',
      request_id: 'req-retry',
    });
    gate.release();
    await fixture.becomes(taskId, 'completed');
  });

  it('runs a completed one again', async () => {
    const { queue } = await fixture.start({ behaviour: async () => ({ status: 'completed', result: { a: 1 } }) });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    await queue.retry(taskId, ada);
    await fixture.becomes(taskId, 'completed');
    expect(await fixture.way(taskId)).toMatch(/^pending running completed pending/);
  });

  it('runs a cancelled one again', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 60 }));
    await queue.cancel(taskId, ada);
    await queue.retry(taskId, ada);
    await fixture.start({ behaviour: completes });
    await fixture.becomes(taskId, 'completed');
  });

  it('counts the failures anew', async () => {
    const { queue } = await fixture.start({ behaviour: async () => failure('bad') });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2 }));
    await fixture.becomes(taskId, 'retrying');
    await queue.cancel(taskId, ada);
    await queue.retry(taskId, ada);
    expect(await fixture.becomes(taskId, 'retrying')).toMatchObject({ failures: 1, attempt: 2 });
  });

  it('is done once when two ask for it at once', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await queue.cancel(taskId, ada);
    const both = await Promise.allSettled([queue.retry(taskId, ada), queue.retry(taskId, ada)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await fixture.way(taskId)).toBe('pending cancelled pending');
  });
});

describe('a retry', () => {
  it('of a task that has not ended is refused, and says what to do', async () => {
    const { queue, handler } = await fixture.start({ behaviour: fixture.gate().hold });
    const running = await queue.enqueue(aTask());
    const scheduled = await queue.enqueue(aTask({ delaySeconds: 60 }));
    await handler.run(1);
    for (const [{ taskId }, status] of [
      [running, 'running'],
      [scheduled, 'scheduled'],
    ] as const) {
      const refusal = await queue.retry(taskId, ada).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(TaskStateError);
      expect(refusal).toMatchObject({ taskId, status, message: expect.stringContaining('cancel it first') });
    }
  });

  it('of a task that is not there is refused', async () => {
    const { queue } = await fixture.startApi();
    await expect(queue.retry('task-none', ada)).rejects.toBeInstanceOf(TaskNotFoundError);
  });
});
