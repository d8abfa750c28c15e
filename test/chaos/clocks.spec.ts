import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { documentOf } from '../e2e/documents.js';
import { newFolder, type ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Fleet } from './fleet.js';
import { effect, newLoad, submitTo } from './load.js';
import { allEnd, becomesSound, judge, type Query } from './oracle.js';
import { report } from './round.js';

const LIBRARY = ['/usr/lib', '/usr/local/lib', '/lib']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
  .map((folder) => join(folder, 'faketime/libfaketime.so.1'))
  .find((file) => existsSync(file));
const DELAY_SECONDS = 3;
const EACH = 10;
const FIRINGS = 6;

const database = useDatabase();

/** The wall clock is another one; time itself passes as ever. */
const clock = (offset: string) => ({ LD_PRELOAD: LIBRARY!, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' });

(LIBRARY ? it : it.skip)(
  `instances whose clocks are ten minutes apart run nothing early and nothing twice${LIBRARY ? '' : ' (apt-get install libfaketime)'}`,
  async () => {
    const file = join(newFolder(), 'effects');
    const query = database.query;
    const fleet = new Fleet(database.url);
    await fleet.grow(1, clock('+10m'));
    await fleet.grow(1, clock('-10m'));
    await fleet.grow(1);
    const [ahead, behind] = fleet.services as [ServiceProcess, ServiceProcess];
    const apart =
      Date.parse((await ahead.get('/health')).headers.date!) - Date.parse((await behind.get('/health')).headers.date!);
    expect(apart).toBeGreaterThan(19 * 60_000);

    const load = newLoad();
    const failsFirst = documentOf(`${effect(file, 'done')}\n[ "$ATTEMPT" -gt 1 ]`);
    const document = documentOf(effect(file, 'done'));
    const retried = newLoad();
    for (const service of fleet.services) {
      for (let n = 0; n < EACH; n++) {
        await submitTo(service, document, load, `?delay=${DELAY_SECONDS}s`);
        await submitTo(service, document, load);
      }
      await submitTo(service, failsFirst, retried, '?max_attempts=2');
    }
    const dueAt = await inSeconds(query, DELAY_SECONDS);
    const atATime = newLoad();
    for (const service of fleet.services) await submitTo(service, document, atATime, `?run_at=${dueAt}`);
    const scheduled = await fireEverySecond(query, behind, file);
    expect([...load.refused, ...retried.refused, ...atATime.refused].map(({ text }) => text)).toEqual([]);
    const once = [...load.accepted, ...atATime.accepted, ...scheduled];
    await allEnd(query, [...once, ...retried.accepted]);
    await becomesSound(query);
    const verdict = await judge(query, file, once, ['done'], `cause = 'lease_lost' OR to_status = 'retrying'`);
    const early = await query(`SELECT t.task_id FROM queue_tasks t WHERE t.started_at < t.run_at
      OR t.run_at > t.created_at AND t.attempt = 1 AND t.run_at < t.enqueued_at`);
    const delays = await query(
      `SELECT round(extract(epoch FROM run_at - enqueued_at))::int AS s, count(*)::int AS n FROM queue_tasks
       WHERE task_id = ANY($1) GROUP BY 1 ORDER BY 1`,
      [load.accepted],
    );
    const lost = await query(`SELECT task_id FROM queue_task_events WHERE cause = 'lease_lost'`);
    const tasks = once.length + retried.accepted.length;
    const firings = await query(`SELECT fire_time, task_id, outcome FROM schedule_firings ORDER BY fire_time`);
    const firedEarly = await query(`SELECT f.fire_time FROM schedule_firings f JOIN queue_tasks t USING (task_id)
      WHERE t.created_at < f.fire_time`);
    report('clocks ten minutes apart', {
      tasks,
      early: early.length + firedEarly.length,
      doubled: verdict.doubled,
      lost: verdict.lost.length,
      firings: firings.length,
      fired_by: fleet.services.map((service) => service.logs('Schedule fired').length).join('+'),
    });
    expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
    expect([early, firedEarly, lost]).toEqual([[], [], []]);
    const runAt = `SELECT DISTINCT run_at FROM queue_tasks WHERE task_id = ANY($1)`;
    expect(await query(runAt, [atATime.accepted])).toEqual([{ run_at: new Date(dueAt) }]);
    // Each second its task, and none of them two.
    const first = (firings[0]!.fire_time as Date).getTime();
    expect(firings.map(({ fire_time, outcome }) => [(fire_time as Date).getTime(), outcome])).toEqual(
      firings.map((_, n) => [first + n * 1_000, 'enqueued']),
    );
    expect(firings.map(({ task_id }) => task_id as string).sort()).toEqual(scheduled.sort());
    expect(delays).toEqual([
      { s: 0, n: 3 * EACH },
      { s: DELAY_SECONDS, n: 3 * EACH },
    ]);
    expect(await query(`SELECT task_id FROM queue_tasks WHERE status <> 'completed'`)).toEqual([]);
  },
);

/** A schedule that any of the instances may fire, until it has some firings; the ids of its tasks. */
async function fireEverySecond(query: Query, service: ServiceProcess, file: string): Promise<string[]> {
  const schedule = { name: 'each-second', cron: '* * * * * *', spec: documentOf(effect(file, 'done')) };
  const made = await service.post('/api/schedules', JSON.stringify(schedule), 'application/json');
  expect([made.status, made.text]).toEqual([201, expect.anything()]);
  const count = async () => (await query('SELECT count(*)::int AS n FROM schedule_firings'))[0].n as number;
  await until('it has fired', async () => (await count()) >= FIRINGS, { timeoutMs: 60_000 });
  expect((await service.post('/api/schedules/each-second/pause')).status).toBe(200);
  const rows = await query(`SELECT task_id FROM queue_tasks WHERE metadata ->> 'source' = 'schedule'`);
  return rows.map(({ task_id }) => task_id as string);
}

/** By the database's clock, as a caller would write it. */
async function inSeconds(query: Query, seconds: number): Promise<string> {
  const [row] = await query(`SELECT now() + $1 * interval '1 second' AS at`, [seconds]);
  return (row.at as Date).toISOString();
}
