import { aTask, failure } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

/** So long ago these tasks were enqueued, all their times. */
async function age(taskIds: readonly string[], seconds: number): Promise<void> {
  await fixture.query(
    `WITH t AS (UPDATE queue_tasks SET start_by = start_by - $2 * interval '1 second', run_at = run_at - $2 * interval '1 second',
                       enqueued_at = enqueued_at - $2 * interval '1 second'
                WHERE task_id = ANY($1) RETURNING id, start_by)
     UPDATE queue_ready r SET start_by = t.start_by FROM t WHERE r.id = t.id`,
    [taskIds, seconds],
  );
}
const idsOf = (enqueued: readonly { taskId: string }[]) => enqueued.map(({ taskId }) => taskId);

describe('a promise of when to start', () => {
  it('is missed by a task that begins later; urgent ones and those in time do not count', async () => {
    const { queue } = await fixture.startApi();
    const late = idsOf(await queue.enqueueMany([aTask({ priority: 'high' }), aTask({ startWithinSeconds: 30 })]));
    const fine = idsOf(await queue.enqueueMany([aTask({ priority: 'urgent' }), aTask({ priority: 'low' })]));
    await age([...late, ...fine], 61);
    expect((await queue.getStats()).promises_missed).toBe(0);
    const { close } = await fixture.start();
    await fixture.allBecome([...late, ...fine], 'completed');
    expect((await queue.getStats()).promises_missed).toBe(2);
    await close();
    // By another process too.
    expect((await (await fixture.startApi()).queue.getStats()).promises_missed).toBe(2);
  });

  it.each([0, 10])('counts once, however often the task begins (taken ahead: %i)', async (prefetch) => {
    const gate = fixture.gate();
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask({ startWithinSeconds: 5 }));
    await age([taskId], 60);
    const first = await fixture.start({ behaviour: gate.hold, prefetch });
    await first.handler.run(1);
    await fixture.becomes(taskId, 'running');
    await first.closeNow();
    expect((await fixture.task(taskId)).status).toBe('pending');
    await fixture.start({ prefetch });
    await fixture.becomes(taskId, 'completed');
    expect((await api.queue.getStats()).promises_missed).toBe(1);
  });

  it('is a new one for a retry', async () => {
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask({ startWithinSeconds: 5, maxAttempts: 2 }));
    await age([taskId], 60);
    await fixture.start({
      behaviour: async ({ task }) => (task.attempt === 1 ? failure('bad') : { status: 'completed' }),
    });
    await fixture.becomes(taskId, 'retrying');
    await fixture.query(`UPDATE queue_scheduled SET run_at = now()`);
    await fixture.becomes(taskId, 'completed');
    expect((await api.queue.getStats()).promises_missed).toBe(1);
  });

  it('is no matter to a task that a worker takes at once', async () => {
    const { queue } = await fixture.start();
    const { taskId } = await queue.enqueue(aTask({ startWithinSeconds: 0 }));
    await fixture.becomes(taskId, 'completed');
    await until('it is counted', async () => (await queue.getStats()).tasks_completed === 1);
    expect((await queue.getStats()).promises_missed).toBe(0);
  });
});
