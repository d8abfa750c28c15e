import { aTask, completes, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const STEPS = [{ name: 'plan', type: 'bash' }];

/** An instance that runs the task, and then is not heard of any more: its next heartbeat is far away. */
async function crashed(taskId: string, before: (instance: QueueInstance) => Promise<void> = async () => undefined) {
  const instance = await fixture.start({ leaseSeconds: 600, pollSeconds: 600, behaviour: fixture.gate().hold });
  const { task } = await instance.handler.run(1);
  expect(task.taskId).toBe(taskId);
  await before(instance);
  await fixture.expire(instance.id);
}

describe('a lost lease', () => {
  it.each([
    ['is a crash where no steps are known', 1, async () => undefined],
    [
      'is a crash where a step of the attempt had started',
      1,
      async ({ handler }: QueueInstance) => {
        const { journal } = await handler.run(1);
        await journal.beginSteps(STEPS);
        await journal.startStep(0);
      },
    ],
    [
      'is none where steps are known and none had started',
      0,
      async ({ handler }: QueueInstance) => (await handler.run(1)).journal.beginSteps(STEPS),
    ],
  ])('%s', async (_, crashes, before) => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, before);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes, failures: 0, attempt: 2 });
  });

  it('is none where only a step of an earlier attempt had started', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, async ({ handler }) => {
      const { journal } = await handler.run(1);
      await journal.beginSteps(STEPS);
      await journal.startStep(0);
    });
    const second = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
    await second.handler.run(1);
    expect((await fixture.task(taskId)).crashes).toBe(1);
    await fixture.expire(second.id);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes: 1, attempt: 3 });
  });

  it('fails the task when it has cost too many, with a dead letter, until it is retried', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 10 }));
    const survivor = await fixture.start({
      workers: 1,
      maxCrashes: 2,
      behaviour: fixture.gate().hold,
      leaseSeconds: 600,
    });
    await survivor.handler.run(1);
    await fixture.expire(survivor.id);
    const rescuer = await fixture.start({
      workers: 1,
      maxCrashes: 2,
      behaviour: fixture.gate().hold,
      leaseSeconds: 600,
    });
    await rescuer.handler.run(1);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'running', crashes: 1, attempt: 2 });
    await fixture.expire(rescuer.id);
    const row = await fixture.becomes(taskId, 'failed');
    expect(row).toMatchObject({ cause: 'crash_loop', crashes: 2, failures: 0, attempt: 2 });
    expect(row.error_message).toBe(`given up after 2 crashes: the instance that ran it (${rescuer.id}) died each time`);
    expect(await fixture.query('SELECT cause FROM queue_dead_letters')).toEqual([{ cause: 'crash_loop' }]);
    expect(await fixture.way(taskId)).toBe('pending running pending running failed');

    await fixture.start({ behaviour: completes });
    await queue.retry(taskId, { actor: 'ada' });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes: 0, attempt: 3 });
  });

  it('carries out a cancel that was asked for', async () => {
    const { queue, store } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, async ({ handler }) => {
      const { task } = await handler.run(1);
      await store.requestCancel(task.id, { actor: 'ada' }, 'wrong cluster');
    });
    await fixture.start();
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({
      cause: 'cancelled',
      error_message: 'wrong cluster',
      attempt: 1,
    });
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toEqual([]);
  });
});

describe('failures and crashes of one task', () => {
  it('have budgets of their own, in whatever order they come', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    const crashes = async () => {
      const dying = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
      await dying.handler.run(1);
      await fixture.expire(dying.id);
    };
    const fails = async () => {
      const failing = await fixture.start({ behaviour: async () => ({ ...failure('no'), retryInSeconds: 3_600 }) });
      await failing.handler.run(1);
      await failing.close();
      await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    };
    const budgets = async () => {
      const { attempt, failures, crashes } = await fixture.task(taskId);
      return { attempt, failures, crashes };
    };
    await crashes();
    await fails();
    expect(await budgets()).toEqual({ attempt: 2, failures: 1, crashes: 1 });
    await crashes();
    await fails();
    expect(await budgets()).toEqual({ attempt: 4, failures: 2, crashes: 2 });
    const last = await fixture.start({ behaviour: async () => failure('for good') });
    // The third failure spends `max_attempts`, with crashes left; a third crash would have been a `crash_loop`.
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ cause: 'step_failed', attempt: 5 });
    expect(await budgets()).toEqual({ attempt: 5, failures: 3, crashes: 2 });
    expect(last.handler.runs).toHaveLength(1);
  });
});

describe('the tasks of an instance whose row is gone', () => {
  it('are rescued all the same', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const instance = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
    await instance.handler.run(1);
    await fixture.query('DELETE FROM queue_instances WHERE id = $1', [instance.id]);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2, crashes: 1 });
  });
});
