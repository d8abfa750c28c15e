import { join } from 'node:path';
import pg from 'pg';
import { migrations } from '../../src/database/data-source.js';
import { documentOf } from '../e2e/documents.js';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { newLoad, submitMany, submitTo, twoEffects } from './load.js';
import { allEnd, becomesSound, judge, type Query } from './oracle.js';
import { OwnPostgres } from './own-postgres.js';
import { Pgbouncer, PGBOUNCER } from './pgbouncer.js';
import { diceFor, report, TASKS } from './round.js';

const SESSIONS = 4;
const needsPgbouncer = PGBOUNCER ? describe : describe.skip;

needsPgbouncer('behind PgBouncer in transaction mode (skipped where it is missing: apt-get install pgbouncer)', () => {
  let postgres: OwnPostgres;
  let pgbouncer: Pgbouncer;
  let direct: pg.Pool;
  const query: Query = async (sql, params) => (await direct.query(sql, params)).rows;

  beforeAll(async () => {
    postgres = await OwnPostgres.start();
    // A database that nobody has migrated yet.
    await postgres.query('CREATE DATABASE pooled');
    const url = new URL(postgres.url);
    url.pathname = '/pooled';
    direct = new pg.Pool({ connectionString: url.href, max: 2 });
    direct.on('error', () => undefined);
    pgbouncer = await Pgbouncer.start(url.href, SESSIONS);
  });
  afterAll(async () => {
    await cleanUp();
    await pgbouncer?.stop();
    await direct?.end();
  });

  it('two instances migrate an empty database together, and lose no task through a kill and a restart of PgBouncer', async () => {
    const dice = diceFor('pgbouncer');
    const file = join(newFolder(), 'effects');
    const fleet = new Fleet(pgbouncer.url, { DATABASE_POOLER: 'transaction', MAX_CRASHES: '1000000' });
    await fleet.grow(2);
    expect(await query('SELECT count(*)::int AS n FROM turnpike_migrations')).toEqual([{ n: migrations.length }]);
    for (const service of fleet.services) {
      expect((await service.get('/ready')).status).toBe(200);
      const { json: stats } = await service.get('/api/queue/stats');
      expect(stats).toMatchObject({ notifications: 'off', degraded: expect.stringMatching(/^no notifications: /) });
    }

    const load = newLoad();
    const wanted = Math.ceil(TASKS * 0.75);
    const pick = () => dice.pick(fleet.services);
    const submitting = submitMany(pick, twoEffects(file), { load, wanted, lanes: 4 });
    submitting.catch(() => undefined);
    const accepted = (part: number) =>
      until(`${part} of the tasks are accepted`, () => load.accepted.length >= wanted * part, { timeoutMs: 120_000 });
    await accepted(0.3);
    await fleet.killAndReplace(pick());
    await accepted(0.6);
    const restarted = performance.now();
    await pgbouncer.restart();
    await until('both are ready', async () => {
      const answers = await Promise.all(fleet.services.map((service) => service.get('/ready')));
      return answers.every(({ status }) => status === 200);
    });
    const recovery = performance.now() - restarted;
    await submitting;

    await allEnd(query, load.accepted);
    await becomesSound(query);
    const verdict = await judge(query, file, load.accepted, ['first', 'second']);
    report('PgBouncer', {
      tasks: load.accepted.length,
      refused: load.refused.length,
      unanswered: load.unanswered,
      sessions: SESSIONS,
      doubled: verdict.doubled,
      lost: verdict.lost.length,
      ready_again_ms: Math.round(recovery),
      ...(await latencies(fleet)),
    });
    expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
    const others = load.refused.filter(({ status, json }) => status !== 503 || json?.code !== 'database_unavailable');
    expect(others.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
  });

  /** What it costs that nobody hears: a task that another instance must find, and a cancel that it must hear of. */
  async function latencies(fleet: Fleet): Promise<Record<string, number>> {
    const api = await fleet.startApi();
    const load = newLoad();
    const submitted = performance.now();
    await submitTo(api, documentOf([{ command: 'sleep 60' }]), load);
    const [taskId] = load.accepted as [string];
    await api.waitForTask(taskId, 'running');
    const started = performance.now();
    await api.post(`/api/tasks/${taskId}/cancel`);
    await api.waitForTask(taskId, 'cancelled');
    return {
      start_elsewhere_ms: Math.round(started - submitted),
      cancel_elsewhere_ms: Math.round(performance.now() - started),
    };
  }

  it('an instance that was not told of PgBouncer says what to set', async () => {
    const service = ServiceProcess.launch({ env: { DATABASE_URL: pgbouncer.url, ROLE: 'api' } });
    const said = () => `${service.stdout}${service.stderr}`;
    await until(said, () => said().includes('DATABASE_POOLER=transaction'));
    await service.kill();
  });

  it('a startup parameter that PgBouncer refuses is named, with what to do', async () => {
    const url = `${pgbouncer.url}?options=-c%20statement_timeout%3D5s`;
    const service = ServiceProcess.launch({ env: { DATABASE_URL: url, DATABASE_POOLER: 'transaction' } });
    expect((await service.exited).code).toBe(1);
    expect(service.stderr).toMatch(/unsupported startup parameter: options.*ignore_startup_parameters/);
  });
});
