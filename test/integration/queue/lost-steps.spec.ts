import { aTask, completes, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const STEPS = ['plan', 'apply'].map((name) => ({ name, type: 'bash' }));

/** A task whose first step was under way when its instance was heard of for the last time. */
async function lostInAStep(
  options: { maxCrashes?: number } = {},
): Promise<{ taskId: string; instance: QueueInstance }> {
  const { queue } = await fixture.startApi();
  const { taskId } = await queue.enqueue(aTask());
  const instance = await fixture.start({
    leaseSeconds: 600,
    pollSeconds: 600,
    behaviour: fixture.gate().hold,
    ...options,
  });
  const { journal } = await instance.handler.run(1);
  await journal.beginSteps(STEPS);
  await journal.startStep(0);
  return { taskId, instance };
}

const stepsOf = async (taskId: string) =>
  (
    await fixture.query('SELECT name, status, cause FROM queue_task_steps WHERE task_id = $1 ORDER BY position', [
      taskId,
    ])
  ).map(({ name, status, cause }) => [name, status, cause]);

describe('the steps of a lost run', () => {
  it('are closed when the task is given up', async () => {
    const { taskId, instance } = await lostInAStep();
    await fixture.expire(instance.id);
    await fixture.start({ maxCrashes: 1 });
    await fixture.becomes(taskId, 'failed');
    expect(await stepsOf(taskId)).toEqual([
      ['plan', 'cancelled', 'lease_lost'],
      ['apply', 'skipped', null],
    ]);
    const told = await fixture.query(
      `SELECT from_status, to_status, actor FROM queue_task_events WHERE task_id = $1 AND kind = 'step' ORDER BY id`,
      [taskId],
    );
    expect(told.slice(1)).toEqual([
      { from_status: 'running', to_status: 'cancelled', actor: expect.stringMatching(/^rescuer:/) },
      { from_status: 'pending', to_status: 'skipped', actor: expect.stringMatching(/^rescuer:/) },
    ]);
  });

  it('wait for the next attempt when the task does', async () => {
    const { taskId, instance } = await lostInAStep();
    await fixture.expire(instance.id);
    const { handler } = await fixture.start({ behaviour: fixture.gate().hold });
    await handler.run(1);
    expect(await stepsOf(taskId)).toEqual([
      ['plan', 'cancelled', 'lease_lost'],
      ['apply', 'pending', null],
    ]);
  });

  it('are closed when a hand ends the task', async () => {
    const { taskId } = await lostInAStep();
    const hand = await fixture.hand('jane');
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled', completed_at = now() WHERE task_id = $1`, [taskId]);
    await fixture.start({ behaviour: completes });
    await until('no step runs', async () => (await stepsOf(taskId)).every(([, status]) => status !== 'running'));
    expect(await stepsOf(taskId)).toEqual([
      ['plan', 'cancelled', 'repaired'],
      ['apply', 'skipped', null],
    ]);
  });
});

describe('a retry', () => {
  it('keeps its promise from the time it may run again, and goes before nobody who waited', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2, startWithinSeconds: 100 }));
    const failing = await fixture.start({ behaviour: async () => Promise.reject(new Error('no')) });
    await failing.handler.run(1);
    await fixture.becomes(taskId, 'retrying');
    const [row] = await fixture.query(
      'SELECT extract(epoch FROM start_by - run_at)::float AS promise FROM queue_tasks WHERE task_id = $1',
      [taskId],
    );
    expect(row?.promise).toBeCloseTo(100, 3);
  });
});
