import { join } from 'node:path';
import { documentOf } from '../e2e/documents.js';
import { newFolder } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Fleet } from './fleet.js';
import { effect, newLoad, submitMany, submitTo } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { report } from './round.js';

const TASKS_BESIDE = 60;
const POISONOUS = 3;
const BESIDE_EACH = 8;

const database = useDatabase();

it('a step that kills its worker each time is given up after three, and the queue goes on', async () => {
  const file = join(newFolder(), 'effects');
  const query = database.query;
  // One worker each: what runs beside such a step shares its fate, and its count.
  const fleet = new Fleet(database.url, { QUEUE_WORKERS: '1' });
  const api = await fleet.startApi();
  await fleet.grow(2);
  const poison = newLoad();
  const load = newLoad();
  const deadly = `kill -KILL "$(cat "\${PWD%/workspaces/*}/service.pid")"; sleep 300`;
  await submitTo(api, documentOf(deadly), poison);
  const taskId = poison.accepted[0]!;

  const status = async () => (await query('SELECT status FROM queue_tasks WHERE task_id = $1', [taskId]))[0]!.status;
  let deaths = 0;
  for (;;) {
    const died = () => fleet.services.filter((service) => !service.running);
    await until(
      'a worker dies, or the task is given up',
      async () => died().length > 0 || (await status()) === 'failed',
    );
    if (died().length === 0) break;
    deaths += died().length;
    await fleet.replaceDead();
    // The queue goes on meanwhile.
    await submitMany(() => api, documentOf(effect(file, 'beside')), {
      ...{ load, wanted: Math.min(TASKS_BESIDE, deaths * 20) },
    });
  }

  await allEnd(query, load.accepted);
  await becomesSound(query);
  const verdict = await judge(query, file, load.accepted, ['beside']);
  report('a step that kills its worker', { tasks: load.accepted.length, deaths, lost: verdict.lost.length });
  expect(deaths).toBe(3);
  const [task] = await query('SELECT status, cause, crashes, attempt FROM queue_tasks WHERE task_id = $1', [taskId]);
  expect(task).toEqual({ status: 'failed', cause: 'crash_loop', crashes: 3, attempt: 3 });
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  const others = await query(`SELECT task_id FROM queue_tasks WHERE status <> 'completed' AND task_id <> $1`, [taskId]);
  expect(others).toEqual([]);
});

it('what runs beside several such steps is not given up with them', async () => {
  const file = join(newFolder(), 'effects');
  const query = database.query;
  const fleet = new Fleet(database.url);
  const api = await fleet.startApi();
  await fleet.grow(2);
  const poison = newLoad();
  const load = newLoad();
  // They live long enough for others to be begun beside them.
  const deadly = `sleep 0.5; kill -KILL "$(cat "\${PWD%/workspaces/*}/service.pid")"; sleep 300`;
  const innocent = documentOf(`sleep 1\n${effect(file, 'beside')}`);
  for (let n = 1; n <= POISONOUS; n++) {
    await submitTo(api, documentOf(deadly), poison);
    await submitMany(() => api, innocent, { load, wanted: n * BESIDE_EACH });
  }

  let deaths = 0;
  const open = `SELECT FROM queue_tasks WHERE task_id = ANY($1) AND status <> 'failed'`;
  const givenUp = async () => (await query(open, [poison.accepted])).length === 0;
  for (;;) {
    const died = () => fleet.services.filter((service) => !service.running).length;
    await until('a worker dies, or all are given up', async () => died() > 0 || (await givenUp()), {
      timeoutMs: 60_000,
    });
    if (died() === 0) break;
    deaths += died();
    await fleet.replaceDead();
  }

  await allEnd(query, load.accepted);
  await becomesSound(query);
  const verdict = await judge(query, file, load.accepted, ['beside']);
  const facts = 'SELECT DISTINCT status, cause, crashes FROM queue_tasks WHERE task_id = ANY($1) ORDER BY crashes';
  const [most] = (await query(facts, [load.accepted])).slice(-1);
  report('beside several that kill their worker', {
    ...{ tasks: load.accepted.length, poisonous: POISONOUS, deaths, doubled: verdict.doubled },
    ...{ lost: verdict.lost.length, most_crashes_of_another: most!.crashes as number },
  });
  expect(await query(facts, [poison.accepted])).toEqual([{ status: 'failed', cause: 'crash_loop', crashes: 3 }]);
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  const others = `SELECT task_id, cause, crashes FROM queue_tasks WHERE task_id = ANY($1) AND status <> 'completed'`;
  expect(await query(others, [load.accepted])).toEqual([]);
  // Some did run beside them.
  expect(most!.crashes).toBeGreaterThan(0);
});
