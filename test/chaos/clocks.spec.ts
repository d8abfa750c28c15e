import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { documentOf } from '../e2e/documents.js';
import { newFolder, type ServiceProcess } from '../support/service-process.js';
import { useDatabase } from './database.js';
import { Fleet } from './fleet.js';
import { effect, newLoad, submitTo } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { report } from './round.js';

const LIBRARY = ['/usr/lib', '/usr/local/lib', '/lib']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
  .map((folder) => join(folder, 'faketime/libfaketime.so.1'))
  .find((file) => existsSync(file));
const DELAY_SECONDS = 3;
const EACH = 10;

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
    expect([...load.refused, ...retried.refused].map(({ text }) => text)).toEqual([]);
    await allEnd(query, [...load.accepted, ...retried.accepted]);
    await becomesSound(query);
    const verdict = await judge(query, file, load.accepted, ['done'], `cause = 'lease_lost' OR to_status = 'retrying'`);
    const early = await query(`SELECT t.task_id FROM queue_tasks t WHERE t.started_at < t.run_at
      OR t.run_at > t.created_at AND t.attempt = 1 AND t.run_at < t.enqueued_at`);
    const delays = await query(
      `SELECT round(extract(epoch FROM run_at - enqueued_at))::int AS s, count(*)::int AS n FROM queue_tasks
       WHERE task_id = ANY($1) GROUP BY 1 ORDER BY 1`,
      [load.accepted],
    );
    const lost = await query(`SELECT task_id FROM queue_task_events WHERE cause = 'lease_lost'`);
    const tasks = load.accepted.length + retried.accepted.length;
    report('clocks ten minutes apart', {
      tasks,
      early: early.length,
      doubled: verdict.doubled,
      lost: verdict.lost.length,
    });
    expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
    expect([early, lost]).toEqual([[], []]);
    expect(delays).toEqual([
      { s: 0, n: 3 * EACH },
      { s: DELAY_SECONDS, n: 3 * EACH },
    ]);
    expect(await query(`SELECT task_id FROM queue_tasks WHERE status <> 'completed'`)).toEqual([]);
  },
);
