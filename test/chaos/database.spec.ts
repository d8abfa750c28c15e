import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanUp, newFolder } from '../support/service-process.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { newLoad, submitMany, twoEffects } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { OwnPostgres } from './own-postgres.js';
import { diceFor, report } from './round.js';

const OUTAGE_MS = 10_000;
const RESTARTS = 3;

afterAll(cleanUp);

it('a database that restarts, is away, and cuts connections costs answers, never an accepted task', async () => {
  const dice = diceFor('database');
  const postgres = await OwnPostgres.start();
  const file = join(newFolder(), 'effects');
  const fleet = new Fleet(postgres.url, { MAX_CRASHES: '1000000' });
  await fleet.grow(2);
  const load = newLoad();
  let over = false;
  // Gentle on whoever is in trouble: two callers, as they come.
  const submitting = submitMany(() => dice.pick(fleet.services), twoEffects(file), {
    ...{ load, lanes: 2, wanted: Infinity, ended: () => over },
  });
  submitting.catch(() => undefined);
  /** The queue goes on: new tasks are accepted, and one that came after the fault ends. */
  const goesOn = async () => {
    const before = load.accepted.length;
    const isDone = async () => {
      const later = load.accepted.slice(before);
      const sql = `SELECT FROM queue_tasks WHERE task_id = ANY($1) AND status = 'completed' LIMIT 1`;
      return later.length > 0 && (await postgres.query(sql, [later])).length > 0;
    };
    await until('a task that came after the fault has ended', isDone, { timeoutMs: 60_000, everyMs: 50 });
  };
  const ready = () => Promise.all(fleet.services.map(async (service) => (await service.get('/ready')).status));

  let slowestRecovery = 0;
  const recovers = async () => {
    const began = performance.now();
    await until('both are ready', async () => (await ready()).every((status) => status === 200));
    await goesOn();
    slowestRecovery = Math.max(slowestRecovery, performance.now() - began);
  };

  let terminated = 0;
  try {
    await goesOn();
    for (let n = 0; n < 5; n++) {
      terminated += await postgres.terminateConnections();
      await goesOn();
    }
    for (let n = 0; n < RESTARTS; n++) {
      await postgres.goDown();
      await postgres.comeBack();
      await recovers();
    }

    await postgres.goDown();
    const outage = delay(OUTAGE_MS); // the fault itself, not a wait for something
    const acceptedBefore = load.accepted.length;
    await until('neither is ready', async () => (await ready()).every((status) => status === 503));
    const answer = await fleet.services[0]!.get('/ready');
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    expect((await fleet.services[0]!.get('/health')).status).toBe(200);
    await outage;
    expect(load.accepted.length).toBe(acceptedBefore);
    await postgres.comeBack();
    await recovers();
  } finally {
    over = true;
    await submitting;
  }

  await allEnd(postgres.query, load.accepted);
  await becomesSound(postgres.query);
  const verdict = await judge(postgres.query, file, load.accepted, ['first', 'second']);
  const [{ n: stored }] = (await postgres.query('SELECT count(*)::int AS n FROM queue_tasks')) as [{ n: number }];
  report('database in trouble', {
    tasks: load.accepted.length,
    refused: load.refused.length,
    stored_though_refused: stored - load.accepted.length,
    connections_cut: terminated,
    restarts: RESTARTS + 1,
    doubled: verdict.doubled,
    lost: verdict.lost.length,
    slowest_recovery_ms: Math.round(slowestRecovery),
  });
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  expect(await postgres.query(`SELECT task_id, cause FROM queue_tasks WHERE status <> 'completed'`)).toEqual([]);
  const others = load.refused.filter(
    ({ status, headers, json }) =>
      status !== 503 || json?.code !== 'database_unavailable' || !/^\d+$/.test(headers['retry-after'] ?? ''),
  );
  expect(others.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
  expect(load.refused.length).toBeGreaterThan(0);
  expect(load.unanswered).toBe(0);
  expect(fleet.services.every((service) => service.running)).toBe(true);
});
