import { join } from 'node:path';
import { cleanUp, newFolder } from '../support/service-process.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { newLoad, submitMany, twoEffects } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { OwnPostgres } from './own-postgres.js';
import { diceFor, report, TASKS } from './round.js';

/** What is promised; measured from the death of the primary, its promotion included. */
const RECONNECTED_MS = 15_000;

afterAll(cleanUp);

it('a primary that dies under load is replaced by its promoted standby, without a lost task', async () => {
  const dice = diceFor('failover');
  const primary = await OwnPostgres.start();
  const standby = await primary.standby();
  await primary.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`);
  await primary.query('SELECT pg_reload_conf()');
  const inStep = `SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`;
  await until('commits wait for the standby', async () => (await primary.query(inStep)).length === 1);

  const { host: first, username, password, pathname } = new URL(primary.url);
  const { host: second } = new URL(standby.url);
  const url = `postgres://${username}:${password}@${first},${second}${pathname}?target_session_attrs=read-write`;
  const file = join(newFolder(), 'effects');
  const fleet = new Fleet(url, { MAX_CRASHES: '1000000' });
  await fleet.grow(2);
  const load = newLoad();
  let wanted = Math.ceil(TASKS / 4);
  let over = false;
  const submitting = submitMany(() => dice.pick(fleet.services), twoEffects(file), {
    ...{ load, lanes: 3, wanted: Infinity, ended: () => over },
  });
  submitting.catch(() => undefined);
  const accepted = () =>
    until(
      () => `${wanted} tasks are accepted (${load.accepted.length} are)`,
      () => load.accepted.length >= wanted,
      { timeoutMs: 60_000, everyMs: 2 },
    );
  const each = async (ask: (service: (typeof fleet.services)[number]) => Promise<boolean>) =>
    (await Promise.all(fleet.services.map(ask))).every(Boolean);

  let reconnected: number;
  let promoted: number;
  try {
    await accepted();
    await primary.kill();
    const died = performance.now();
    await until('neither is ready', () => each(async (service) => (await service.get('/ready')).status === 503));
    expect(await standby.query('SELECT pg_promote() AS done')).toEqual([{ done: true }]);
    promoted = performance.now() - died;
    await until('both are ready', () => each(async (service) => (await service.get('/ready')).status === 200), {
      everyMs: 5,
    });
    reconnected = performance.now() - died;
    // Tasks come and go on the new primary.
    const before = load.accepted.length;
    wanted = before + Math.ceil(TASKS / 4);
    await accepted();
    await allEnd(standby.query, load.accepted.slice(before, wanted));

    // The old one comes back by itself, and still takes itself for the primary.
    await primary.query('SELECT 1').then(
      () => expect('it').toBe('dead'),
      () => undefined,
    );
    await primary.comeBack();
    const seen = `SELECT FROM pg_stat_activity WHERE application_name = 'turnpike' AND query LIKE '%pg_walfile_name%'`;
    await until('both have looked at it', async () => (await primary.query(seen)).length === 2);
    wanted = load.accepted.length + Math.ceil(TASKS / 8);
    await accepted();
  } finally {
    over = true;
    await submitting;
  }

  await allEnd(standby.query, load.accepted);
  await becomesSound(standby.query);
  const verdict = await judge(standby.query, file, load.accepted, ['first', 'second']);
  report('failover', {
    tasks: load.accepted.length,
    refused: load.refused.length,
    doubled: verdict.doubled,
    lost: verdict.lost.length,
    promoted_ms: Math.round(promoted),
    reconnected_ms: Math.round(reconnected),
  });
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  expect(reconnected).toBeLessThan(RECONNECTED_MS);
  const others = load.refused.filter(({ status, json }) => status !== 503 || json?.code !== 'database_unavailable');
  expect(others.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
  expect(load.unanswered).toBe(0);
  for (const service of fleet.services) {
    expect(service.running).toBe(true);
    expect(service.logs(`The database's primary is ${second} now`)).toMatchObject([{ was: first }]);
  }
});
