import type { Role } from '../../../src/auth/roles.js';
import type { ScheduleBody } from '../../../src/schedules/schedule-body.js';
import { useQueue } from '../../support/queue-fixture.js';
import { ANN, aSchedule, makeDue, scheduleRow, startSchedules } from '../../support/schedule-harness.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

const page = (limit: number, cursor?: string) => ({ limit, ...(cursor === undefined ? {} : { cursor }) });
const notes = () =>
  fixture.query(`SELECT task_id, actor, cause, detail, request_id FROM queue_task_events
                 WHERE kind = 'operator' AND cause LIKE 'schedule%' ORDER BY id`);

describe('what operators do with schedules', () => {
  it('stands in the ledger, with what it changed', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    const { id } = await schedules.create(aSchedule(), ANN);
    const bob = { actor: 'bob', requestId: 'request-2' };
    await schedules.edit('yearly', { cron: '0 5 * * *', labels: { team: 'blue' } }, 'part', bob);
    await schedules.edit('yearly', { paused: true }, 'part', bob);
    await schedules.edit('yearly', { paused: true }, 'part', bob);
    await schedules.edit('yearly', { paused: false }, 'part', bob);
    const { task_id } = await schedules.run('yearly', ANN);
    await schedules.remove(id, ANN);
    const about = { schedule_id: id, name: 'yearly' };
    const row = (by: typeof ANN, cause: string, detail: object) => ({
      ...{ task_id: null, actor: by.actor, request_id: by.requestId, cause },
      detail: { ...about, ...detail },
    });
    const change = (path: string, from: unknown, to: unknown) => ({ path, from, to });
    expect(await notes()).toEqual([
      row(ANN, 'schedule_created', { schedule: expect.objectContaining({ name: 'yearly', cron: '0 0 1 1 *' }) }),
      row(bob, 'schedule_edited', {
        changes: [change('cron', '0 0 1 1 *', '0 5 * * *'), { path: 'labels.team', to: 'blue' }],
      }),
      row(bob, 'schedule_paused', { changes: [change('paused', false, true)] }),
      row(bob, 'schedule_resumed', { changes: [change('paused', true, false)] }),
      row(ANN, 'schedule_run', { task_id }),
      row(ANN, 'schedule_deleted', { schedule: expect.objectContaining({ cron: '0 5 * * *' }) }),
    ]);
    expect(await fixture.task(task_id)).toMatchObject({
      schedule_id: id,
      metadata: { user: 'ann', source: 'schedule' },
    });
  });

  it('stays with its tasks: who made it, and who changed what it asks for', async () => {
    const { schedules, firings } = await startSchedules(fixture, { workers: 1 });
    const as = (actor: string) => ({ actor, requestId: 'request-2' });
    const { id } = await schedules.create(aSchedule(), ANN);
    await schedules.edit(id, { cron: '0 5 * * *', paused: true }, 'part', as('cleo'));
    await schedules.edit(id, { parameters: { size: '3' } }, 'part', as('bob'));
    await schedules.edit(id, { parameters: { size: '4' } }, 'part', ANN);
    const { task_id: byHand } = await schedules.run(id, as('dan'));
    expect((await fixture.task(byHand)).metadata).toMatchObject({ user: 'dan', written_by: ['ann', 'bob'] });
    await schedules.edit(id, { paused: false }, 'part', as('dan'));
    await makeDue(fixture, 'yearly');
    await firings.fire(id);
    // Where the instance's own look at what is due was first, its task comes a moment later.
    let row: Record<string, unknown> | undefined;
    await until('it has fired', async () => {
      [row] = await fixture.query(`SELECT metadata FROM queue_tasks WHERE metadata ->> 'user' LIKE 'schedule:%'`);
      return row !== undefined;
    });
    expect(row!.metadata).toMatchObject({ user: 'schedule:yearly', written_by: ['ann', 'bob'] });
  });

  it('on an urgent schedule needs the right to what is urgent, whatever is changed', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    const by = (...roles: Role[]) => ({ ...ANN, caller: { name: 'ann', roles } });
    const both = by('author', 'operator');
    const spec = { metadata: { name: 'demo-app' } };
    await schedules.create(aSchedule({ priority: 'urgent' }), both);
    const others: Partial<ScheduleBody>[] = [
      ...[{ spec }, { parameters: { size: '9' } }, { cron: '* * * * *' }, { golden_path: 'other' }],
      ...[
        { app_name: 'x' },
        { timezone: 'Asia/Tokyo' },
        { overlap: 'replace' as const },
        { cron: '@daily', paused: true },
      ],
    ];
    for (const change of others) {
      const refused = schedules.edit('yearly', change, 'part', by('author'));
      await expect(refused).rejects.toMatchObject({ code: 'role_required' });
      await schedules.edit('yearly', change, 'part', both);
    }
    const whole = aSchedule({ priority: 'urgent', spec });
    await expect(schedules.edit('yearly', whole, 'whole', by('author'))).rejects.toMatchObject({
      code: 'role_required',
    });
    for (const paused of [false, true]) await schedules.edit('yearly', { paused }, 'part', by('author'));
    const lower = await schedules.edit('yearly', { priority: 'high', spec }, 'part', by('author'));
    expect(lower).toMatchObject({ priority: 'high', spec });
  });

  it('moves the next due time where it must, and leaves it where it need not', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    await schedules.create(aSchedule(), ANN);
    await makeDue(fixture, 'yearly', -500);
    const before = (await scheduleRow(fixture, 'yearly')).next_run_at;
    const same = await schedules.edit('yearly', { priority: 'low' }, 'part', ANN);
    expect(same.nextRunAt).toEqual(before);
    const later = await schedules.edit('yearly', { timezone: 'Asia/Tokyo' }, 'part', ANN);
    expect(later.nextRunAt!.toISOString()).toMatch(/-12-31T15:00:00.000Z$/);
    expect((await schedules.edit('yearly', { paused: true }, 'part', ANN)).nextRunAt).toBeNull();
    expect((await schedules.edit('yearly', { paused: false }, 'part', ANN)).nextRunAt).toEqual(later.nextRunAt);
    const whole = await schedules.edit('yearly', aSchedule({ name: 'renamed' }), 'whole', ANN);
    expect(whole).toMatchObject({ name: 'renamed', timezone: 'UTC', priority: 'medium' });
  });

  it('is refused, and changes nothing, where a name is taken, nothing is there or nothing fits', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    for (const name of ['one', 'two']) await schedules.create(aSchedule({ name }), ANN);
    await expect(schedules.create(aSchedule({ name: 'one' }), ANN)).rejects.toMatchObject({ code: 'conflict' });
    await expect(schedules.edit('two', { name: 'one' }, 'part', ANN)).rejects.toMatchObject({ code: 'conflict' });
    await expect(schedules.get('three')).rejects.toMatchObject({ code: 'schedule_not_found' });
    await expect(schedules.get('9'.repeat(18))).rejects.toMatchObject({ code: 'schedule_not_found' });
    await expect(schedules.get('a\0b')).rejects.toMatchObject({ code: 'schedule_not_found' });
    const gone = { code: 'invalid_parameter', errors: [{ path: 'golden_path' }] };
    await expect(schedules.create(aSchedule({ golden_path: 'gone' }), ANN)).rejects.toMatchObject(gone);
    await expect(schedules.edit('two', { golden_path: 'gone' }, 'part', ANN)).rejects.toMatchObject(gone);
    expect(await notes()).toHaveLength(2);

    // The catalogue has lost it: it can be paused, but not run.
    await fixture.query(`UPDATE schedules SET golden_path = 'gone' WHERE name = 'two'`);
    await expect(schedules.run('two', ANN)).rejects.toMatchObject(gone);
    expect((await schedules.edit('two', { paused: true }, 'part', ANN)).paused).toBe(true);
    expect(await fixture.query('SELECT FROM queue_tasks')).toEqual([]);
  });

  it('is found page by page: schedules oldest first, firings newest first', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    for (const name of ['a', 'b', 'c']) await schedules.create(aSchedule({ name }), ANN);
    const first = await schedules.list(page(2));
    const second = await schedules.list(page(2, first.next_cursor!));
    expect([first, second].map(({ schedules }) => schedules.map(({ name }) => name))).toEqual([['a', 'b'], ['c']]);
    expect(second.next_cursor).toBeNull();

    const made: string[] = [];
    for (let n = 0; n < 3; n++) made.unshift((await schedules.run('b', ANN)).task_id);
    const newest = await schedules.listFirings('b', page(2));
    const oldest = await schedules.listFirings('b', page(2, newest.next_cursor!));
    const seen = [...newest.firings, ...oldest.firings];
    expect(seen.map(({ task_id }) => task_id)).toEqual(made);
    expect(seen.every(({ by_hand, outcome }) => by_hand && outcome === 'enqueued')).toBe(true);
    expect(oldest.next_cursor).toBeNull();
  });

  it('takes the firings of a schedule away with it, and not its tasks', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    await schedules.create(aSchedule(), ANN);
    const { task_id } = await schedules.run('yearly', ANN);
    await schedules.remove('yearly', ANN);
    expect(await fixture.query('SELECT FROM schedule_firings')).toEqual([]);
    expect((await fixture.task(task_id)).status).toBe('pending');
  });
});
