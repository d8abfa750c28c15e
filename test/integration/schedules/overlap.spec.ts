import { useQueue } from '../../support/queue-fixture.js';
import { aTask, SteeredHandler, untilAborted } from '../../support/queue-harness.js';
import { ANN, aSchedule, firingsOf, makeDue, scheduleRow, startSchedules } from '../../support/schedule-harness.js';
import type { Overlap } from '../../../src/schedules/schedule.entity.js';

const fixture = useQueue();

/** A schedule whose first task runs until it is told to stop, and that is due again. */
async function withRunning(overlap: Overlap) {
  const handler = new SteeredHandler(untilAborted);
  const instance = await startSchedules(fixture, { handler, workers: 2 });
  await instance.schedules.create(aSchedule({ overlap }), ANN);
  await makeDue(fixture, 'yearly', 30);
  const { task } = await handler.run(1);
  await firingsOf(fixture, 'yearly', 1);
  await makeDue(fixture, 'yearly');
  const [, second] = await firingsOf(fixture, 'yearly', 2);
  return { ...instance, handler, first: task.taskId, second: second! };
}

describe('while an earlier task has not ended, a due time', () => {
  it('makes another one with overlap: allow', async () => {
    const { handler, first, second } = await withRunning('allow');
    expect((await handler.run(2)).task.taskId).toBe(second.task_id);
    expect((await fixture.task(first)).status).toBe('running');
  });

  it('makes none with overlap: skip, which is noted', async () => {
    const { first, second, queue } = await withRunning('skip');
    expect(second).toMatchObject({ outcome: 'skipped', task_id: null, reason: `${first} has not ended` });
    expect(await scheduleRow(fixture, 'yearly')).toMatchObject({ last_task_id: first, last_error: null });

    await queue.cancel(first, ANN);
    await fixture.becomes(first, 'cancelled');
    await fixture.query(`UPDATE schedules SET next_run_at = date_trunc('second', now()) + interval '1 second'`);
    const firings = await firingsOf(fixture, 'yearly', 3);
    expect(firings[2]).toMatchObject({ outcome: 'enqueued' });
  });

  it('makes one in place of it with overlap: replace', async () => {
    const { handler, first, second } = await withRunning('replace');
    expect((await handler.run(2)).task.taskId).toBe(second.task_id);
    const row = await fixture.becomes(first, 'cancelled');
    const reason = `superseded by the run of schedule 'yearly' for ${second.fire_time.toISOString()}`;
    expect(row).toMatchObject({ cause: 'superseded', error_message: reason });
    const [asked] = await fixture.events(first, 'operator');
    expect(asked).toMatchObject({
      actor: 'schedule:yearly',
      cause: 'cancel_requested',
      detail: { cause: 'superseded' },
    });
    expect((await fixture.events(first)).at(-1)).toMatchObject({ to_status: 'cancelled', cause: 'superseded' });
  });

  it('takes the place of one that waits, too', async () => {
    const { schedules } = await startSchedules(fixture);
    const api = await startSchedules(fixture, { workers: 0 });
    await schedules.create(aSchedule({ overlap: 'replace' }), ANN);
    const { task_id: first } = await schedules.run('yearly', ANN);
    await fixture.becomes(first, 'completed');
    const { id } = await schedules.get('yearly');
    const { taskId } = await api.queue.enqueue({
      ...{ appName: 'a', workflowName: 'w', workflowSpec: {}, delaySeconds: 600 },
    });
    await fixture.query('UPDATE queue_tasks SET schedule_id = $1 WHERE task_id = $2', [id, taskId]);
    await makeDue(fixture, 'yearly', -1);
    await firingsOf(fixture, 'yearly', 2);
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ cause: 'superseded', started_at: null });
  });

  it.each(['dies', 'drains'])('has its task superseded also when the instance that runs it %s', async (end) => {
    const gate = fixture.gate();
    const runs = await startSchedules(fixture, { workers: 1, behaviour: gate.holdDeaf, shutdownGraceSeconds: 0 });
    await runs.queue.enqueue(aTask());
    const { task } = await runs.handler.run(1);
    const api = await startSchedules(fixture, { workers: 0 });
    await api.queue.cancel(task.taskId, { actor: 'schedule:x' }, 'superseded by another', { cause: 'superseded' });
    if (end === 'dies') {
      await fixture.start();
      await fixture.expire(runs.id);
    } else {
      const closing = runs.closeNow();
      gate.release({ status: 'aborted' });
      await closing;
    }
    expect(await fixture.becomes(task.taskId, 'cancelled')).toMatchObject({
      cause: 'superseded',
      error_message: 'superseded by another',
    });
  });
});
