import { useQueue } from '../../support/queue-fixture.js';
import {
  ANN,
  aSchedule,
  firingsOf,
  makeDue,
  scheduleRow,
  startSchedules,
  type ScheduleInstance,
} from '../../support/schedule-harness.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

const tasks = () => fixture.query('SELECT * FROM queue_tasks ORDER BY id');

describe('a schedule that is due', () => {
  it('makes a task, signed by it, and goes on to its next due time', async () => {
    const { schedules } = await startSchedules(fixture);
    const body = aSchedule({ app_name: 'shop', parameters: { a: 1 }, labels: { team: 'blue' }, priority: 'high' });
    const { id } = await schedules.create(body, ANN);
    const before = await scheduleRow(fixture, 'yearly');
    await makeDue(fixture, 'yearly');
    const [firing] = await firingsOf(fixture, 'yearly', 1);
    const [task] = await tasks();
    expect(task).toMatchObject({
      ...{ app_name: 'shop', workflow_name: 'golden-path-deploy-app', golden_path: 'deploy-app', schedule_id: id },
      ...{ priority: 'high', workflow_spec: { parameters: { a: 1 } } },
      metadata: {
        ...{
          user: 'schedule:yearly',
          source: 'schedule',
          schedule: 'yearly',
          schedule_id: id,
          labels: { team: 'blue' },
        },
        fire_time: firing!.fire_time.toISOString(),
      },
    });
    expect(firing).toMatchObject({ outcome: 'enqueued', by_hand: false, task_id: task!.task_id, reason: null });
    await fixture.becomes(task!.task_id as string, 'completed');
    expect((await fixture.events(task!.task_id as string))[0]).toMatchObject({ actor: 'schedule:yearly' });
    const row = await scheduleRow(fixture, 'yearly');
    expect(row).toMatchObject({ last_task_id: task!.task_id, last_error: null, next_run_at: before.next_run_at });
    expect(row.last_fired_at >= firing!.fire_time).toBe(true);
  });

  it('is waited for to the second, by the clock of the database', async () => {
    const { schedules } = await startSchedules(fixture);
    await schedules.create(aSchedule({ name: 'often', cron: '* * * * * *' }), ANN);
    const firings = await firingsOf(fixture, 'often', 3);
    const times = firings.map(({ fire_time }) => fire_time.getTime() as number);
    expect([times[1]! - times[0]!, times[2]! - times[1]!]).toEqual([1_000, 1_000]);
    expect(firings.every(({ at, fire_time }) => at >= fire_time)).toBe(true);
    await schedules.remove('often', ANN);
  });

  it('fires once a due time, whatever number of instances there is', async () => {
    const instances: ScheduleInstance[] = [];
    for (let n = 0; n < 3; n++) instances.push(await startSchedules(fixture));
    const names = Array.from({ length: 10 }, (_, n) => `schedule-${n}`);
    for (const name of names) await instances[0]!.schedules.create(aSchedule({ name }), ANN);
    const [{ id }] = (await fixture.query(`SELECT id FROM schedules WHERE name = 'schedule-0'`)) as [{ id: string }];
    for (let round = 1; round <= 3; round++) {
      await fixture.query(`UPDATE schedules SET next_run_at = date_trunc('second', now()) - $1 * interval '1 second'`, [
        10 - round,
      ]);
      await Promise.all(instances.map(({ firings }) => firings.fire(id)));
      for (const name of names) await firingsOf(fixture, name, round);
    }
    const rows = await tasks();
    expect(rows).toHaveLength(30);
    const ids = rows.map((row) => row.task_id as string);
    await fixture.allBecome(ids, 'completed');
    const counts = instances.flatMap(({ handler }) => [...handler.counts.values()]);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(30);
  });

  it('does not fire a due time a second time, even if somebody puts the clock of it back', async () => {
    const { schedules } = await startSchedules(fixture);
    await schedules.create(aSchedule(), ANN);
    const at = `UPDATE schedules SET next_run_at = $1 RETURNING id`;
    const time = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 2_000);
    await fixture.query(at, [time]);
    await firingsOf(fixture, 'yearly', 1);
    await fixture.query(at, [time]);
    await until('it is past it', async () => (await scheduleRow(fixture, 'yearly')).next_run_at > new Date());
    expect(await tasks()).toHaveLength(1);
  });

  it('is fired by somebody else when the instance that fires it dies in it', async () => {
    const dying = await startSchedules(fixture);
    await dying.schedules.create(aSchedule(), ANN);
    const start = dying.runner.start.bind(dying.runner);
    const seen: unknown[] = [];
    dying.runner.start = async (manager, ...rest) => {
      await start(manager, ...rest);
      // All is written, nothing is committed.
      seen.push(await manager.query('SELECT task_id FROM queue_tasks'));
      dying.runner.start = () => Promise.reject(new Error('Connection terminated unexpectedly'));
      await manager.query('SELECT pg_terminate_backend(pg_backend_pid())');
      return 'never';
    };
    await makeDue(fixture, 'yearly');
    await until('it has died', () => seen.length > 0);
    expect(seen).toEqual([[{ task_id: expect.any(String) }]]);
    expect(await tasks()).toEqual([]);
    expect(await fixture.query('SELECT FROM schedule_firings')).toEqual([]);
    await startSchedules(fixture);
    const [firing] = await firingsOf(fixture, 'yearly', 1);
    const rows = await tasks();
    expect(rows.map((row) => row.task_id)).toEqual([firing!.task_id]);
  });

  it('is fired by an instance with workers when one without has made it', async () => {
    const worker = await startSchedules(fixture);
    const api = await startSchedules(fixture, { workers: 0 });
    await api.schedules.create(aSchedule({ name: 'soon', cron: '* * * * * *', overlap: 'skip' }), ANN);
    await worker.handler.run(1);
    await api.schedules.remove('soon', ANN);
  });
});

describe('a schedule that does not fit any more', () => {
  it('says why, and goes on to its next due time; a later success takes it back', async () => {
    const { schedules } = await startSchedules(fixture);
    await schedules.create(aSchedule(), ANN);
    await fixture.query(`UPDATE schedules SET golden_path = 'gone'`);
    await makeDue(fixture, 'yearly', 2);
    const [firing] = await firingsOf(fixture, 'yearly', 1);
    expect(firing).toMatchObject({ outcome: 'failed', task_id: null });
    expect(firing!.reason).toBe("there is no golden path 'gone' (golden_path) See.");
    const row = await scheduleRow(fixture, 'yearly');
    expect(row).toMatchObject({ last_error: firing!.reason, last_task_id: null, last_fired_at: null });
    expect(row.next_run_at > new Date()).toBe(true);
    expect(await tasks()).toEqual([]);

    await schedules.edit('yearly', { golden_path: 'deploy-app' }, 'part', ANN);
    expect((await scheduleRow(fixture, 'yearly')).last_error).toBeNull();
    await makeDue(fixture, 'yearly');
    const firings = await firingsOf(fixture, 'yearly', 2);
    expect(firings[1]).toMatchObject({ outcome: 'enqueued' });
  });

  it('does not keep the others from firing, also where the database refuses its task', async () => {
    const { schedules } = await startSchedules(fixture);
    for (const name of ['bad', 'good']) await schedules.create(aSchedule({ name }), ANN);
    await fixture.query(`UPDATE schedules SET app_name = repeat('x', 300) WHERE name = 'bad'`);
    await fixture.query(`UPDATE schedules SET next_run_at = date_trunc('second', now())`);
    const [bad] = await firingsOf(fixture, 'bad', 1);
    const [good] = await firingsOf(fixture, 'good', 1);
    expect(bad).toMatchObject({ outcome: 'failed', reason: 'appName must have 1 to 255 characters' });
    expect(good).toMatchObject({ outcome: 'enqueued' });
  });
});
