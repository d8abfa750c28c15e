import { useQueue } from '../../support/queue-fixture.js';
import { ANN, aSchedule, firingsOf, makeDue, scheduleRow, startSchedules } from '../../support/schedule-harness.js';
import type { ScheduleBody } from '../../../src/schedules/schedule-body.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

/** Every minute, and nothing has run for some time. */
async function down(changes: Partial<ScheduleBody>, seconds: number) {
  const api = await startSchedules(fixture, { workers: 0 });
  const cron = '0 */10 * * * *';
  await api.schedules.create(aSchedule({ name: 'steady', cron, ...changes }), ANN);
  const sql = `UPDATE schedules SET next_run_at = date_bin('10 minutes', now(), 'epoch') - $1 * interval '1 second'`;
  await fixture.query(sql, [seconds]);
  // The latest due time was just now or long ago: then it is missed like the others.
  const [row] = await fixture.query(`SELECT extract(epoch FROM now() - date_bin('10 minutes', now(), 'epoch')) AS age`);
  return { onTime: Number(row!.age) < 50, api };
}

const upToDate = () =>
  until('it is up to date', async () => (await scheduleRow(fixture, 'steady')).next_run_at > new Date());
const outcomes = async () => (await firingsOf(fixture, 'steady', 0)).map(({ outcome }) => outcome as string);

describe('due times that passed while nothing ran', () => {
  it('are left with catch_up: none, which is noted', async () => {
    const { onTime } = await down({ catch_up: 'none' }, 3 * 600);
    await startSchedules(fixture);
    await upToDate();
    expect(await outcomes()).toEqual(onTime ? ['missed', 'enqueued'] : ['missed']);
    const [missed] = await firingsOf(fixture, 'steady', 1);
    expect(missed!.reason).toMatch(
      new RegExp(`at ${onTime ? 3 : 4} due times until .*; made up for by catch_up: none`),
    );
  });

  it('are made up for by one task with catch_up: one', async () => {
    await down({ catch_up: 'one' }, 3 * 600);
    await startSchedules(fixture);
    await upToDate();
    expect(await outcomes()).toEqual(['missed', 'enqueued']);
  });

  it('get a task each with catch_up: all, in their order', async () => {
    await down({ catch_up: 'all' }, 249 * 600);
    await startSchedules(fixture);
    await upToDate();
    expect(await outcomes()).toEqual(Array(250).fill('enqueued'));
    const made = await fixture.query(`SELECT metadata ->> 'fire_time' AS time FROM queue_tasks ORDER BY id`);
    const times = made.map(({ time }) => time as string);
    expect(times).toEqual([...times].sort());
    expect(new Set(times).size).toBe(250);
  });

  it('get a task each up to a thousand', async () => {
    await down({ catch_up: 'all', cron: '0 * * * * *' }, 1_200 * 60);
    await startSchedules(fixture);
    await upToDate();
    const [{ n }] = (await fixture.query('SELECT count(*)::int AS n FROM queue_tasks')) as [{ n: number }];
    expect(n).toBeGreaterThanOrEqual(1_000);
    expect(n).toBeLessThanOrEqual(1_003);
  });

  it('are no more than one where runs may not overlap', async () => {
    await down({ catch_up: 'all', overlap: 'skip' }, 5 * 600);
    await startSchedules(fixture);
    await upToDate();
    expect((await outcomes()).filter((outcome) => outcome === 'enqueued')).toHaveLength(1);
  });

  it('are no matter where the schedule was paused', async () => {
    const { api } = await down({ catch_up: 'all' }, 5 * 600);
    await api.schedules.edit('steady', { paused: true }, 'part', ANN);
    await startSchedules(fixture);
    await api.schedules.edit('steady', { paused: false }, 'part', ANN);
    await upToDate();
    expect(await outcomes()).toEqual([]);
  });
});

it('a due time that is only late fires in any case', async () => {
  const { schedules } = await startSchedules(fixture);
  await schedules.create(aSchedule({ catch_up: 'none' }), ANN);
  await makeDue(fixture, 'yearly', 45);
  expect(await firingsOf(fixture, 'yearly', 1)).toMatchObject([{ outcome: 'enqueued' }]);
});
