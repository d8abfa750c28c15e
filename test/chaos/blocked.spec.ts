import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { documentOf } from '../e2e/documents.js';
import { newFolder, type ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Fleet, stepsOf } from './fleet.js';
import { effect, type Load, newLoad, submitTo } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { report } from './round.js';

const LEASE_SECONDS = 5;
const BESIDE = 7;
const REJOINED = 'Joined again after a lost lease';
const THROWN_AWAY = 'The result of a run is thrown away: its lease was lost';

const database = useDatabase();

/** Waits for a file, then keeps the event loop of its instance. */
const blocking = (go: string, seconds: number): object => ({
  ...documentOf(''),
  workflow: {
    steps: [
      { name: 'wait', type: 'bash', config: { command: `until [ -e '${go}' ]; do sleep 0.02; done` } },
      { name: 'block', type: 'busy', config: { seconds } },
    ],
  },
});

/** Two instances full of work, one of which is about to be blocked by a step. */
async function aboutToBlock(seconds: number) {
  const file = join(newFolder(), 'effects');
  const go = `${file}.go`;
  const env = { MAX_CRASHES: '1000000', QUEUE_LEASE_SECONDS: String(LEASE_SECONDS) };
  const fleet = new Fleet(database.url, env, { main: join(import.meta.dirname, 'busy-service.mjs') });
  await fleet.grow(2);
  const [first] = fleet.services as [ServiceProcess];
  const load = newLoad();
  const bad = newLoad();
  const beside = documentOf([{ command: effect(file, 'first') }, { command: `sleep 5\n${effect(file, 'second')}` }]);
  await submitTo(first, blocking(go, seconds), bad);
  expect(bad.refused.map(({ text }) => text)).toEqual([]);
  for (let n = 0; n < BESIDE; n++) await submitTo(first, beside, load);
  const effects = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);
  await until('all of them run', () => effects() === BESIDE);
  const [row] = await database.query('SELECT instance FROM queue_tasks WHERE task_id = $1', bad.accepted);
  const instance = row!.instance as string;
  const [victim] = fleet.services.filter(({ pid }) => instance.includes(`-${pid}-`)) as [ServiceProcess];
  await until('the victim has others to run too', () => stepsOf(victim).length > 1);
  return { fleet, file, victim, instance, load, bad, block: () => writeFileSync(go, '') };
}

async function judged(file: string, load: Load, bad: Load) {
  await allEnd(database.query, [...load.accepted, ...bad.accepted]);
  await becomesSound(database.query);
  const verdict = await judge(database.query, file, load.accepted, ['first', 'second']);
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  const ids = [...load.accepted, ...bad.accepted];
  const others = `SELECT task_id FROM queue_tasks WHERE task_id = ANY($1) AND status <> 'completed'`;
  expect(await database.query(others, [ids])).toEqual([]);
  return verdict;
}

it('an event loop blocked for half a lease changes nothing', async () => {
  const { fleet, file, load, bad, block } = await aboutToBlock(LEASE_SECONDS / 2);
  block();
  const verdict = await judged(file, load, bad);
  report('blocked for half a lease', { tasks: BESIDE + 1, doubled: verdict.doubled, lost: verdict.lost.length });
  expect(verdict.doubled).toBe(0);
  const attempts = await database.query('SELECT DISTINCT attempt FROM queue_tasks WHERE task_id = ANY($1)', [
    [...load.accepted, ...bad.accepted],
  ]);
  expect(attempts).toEqual([{ attempt: 1 }]);
  expect(fleet.services.flatMap((service) => service.logs(REJOINED))).toEqual([]);
  await Promise.all(fleet.services.map((service) => service.stop()));
});

it('of one blocked for three leases the steps end, their tasks run elsewhere once, and it joins again by itself', async () => {
  const { file, victim, instance, load, bad, block } = await aboutToBlock(3 * LEASE_SECONDS);
  block();
  const gone = async () => (await database.query('SELECT FROM queue_instances WHERE id = $1', [instance])).length === 0;
  await until('its tasks are taken back', gone, { timeoutMs: 3 * LEASE_SECONDS * 1_000 });
  // It cannot have done that itself: not a line comes from it.
  expect(stepsOf(victim)).toEqual([]);
  expect(victim.logs(REJOINED)).toEqual([]);
  const lost = await database.query(
    `SELECT task_id FROM queue_task_events WHERE kind = 'transition' AND cause = 'lease_lost' AND task_id = ANY($1)`,
    [[...load.accepted, ...bad.accepted]],
  );
  expect(lost.length).toBeGreaterThan(1);

  await victim.waitForLog(REJOINED);
  const thrownAway = () => victim.logs(THROWN_AWAY).length;
  await until('its results are thrown away', () => thrownAway() === lost.length);
  const verdict = await judged(file, load, bad);
  const again = `SELECT task_id, attempt FROM queue_tasks WHERE task_id = ANY($1) AND attempt > 1 ORDER BY task_id`;
  const rerun = await database.query(again, [[...load.accepted, ...bad.accepted]]);
  expect(rerun).toEqual(lost.map(({ task_id }) => ({ task_id, attempt: 2 })).sort(byTask));
  // It takes its share again.
  const done = victim.logs('Task completed').length;
  while (victim.logs('Task completed').length === done) await submitTo(victim, documentOf('true'), newLoad());
  report('blocked for three leases', {
    ...{ tasks: BESIDE + 1, doubled: verdict.doubled, lost: verdict.lost.length },
    ...{ results_thrown_away: thrownAway(), run_elsewhere: rerun.length },
  });
});

const byTask = (one: { task_id: string }, other: { task_id: string }) => (one.task_id < other.task_id ? -1 : 1);
