import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenInvariants } from '../support/invariant.js';
import { isRunning, writtenPids } from '../support/processes.js';
import { cleanUp, newFolder, postmasterOf, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf, waitForGo } from './documents.js';

/** Longer than any test: who waits for it to end is found out. */
const LONG = '600';
const GONE = { code: 0, signal: null };

/** On its first attempt three processes that would run for long, one of which does not care for SIGTERM. */
const stubborn = (pids: string) => `
  [ $ATTEMPT = 1 ] || exit 0
  echo $$ >> '${pids}'
  sleep 300 & echo $! >> '${pids}'
  bash -c 'trap "" TERM; echo $$ >> "${pids}"; while :; do sleep 0.1; done' &
  wait`;

describe('the end of the service', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
    await cleanUp();
    await database.drop();
  });

  const start = (env: Record<string, string> = {}) =>
    ServiceProcess.start({ env: { DATABASE_URL: database.url, ...env } });

  const row = async (taskId: string) =>
    (await database.query('SELECT * FROM queue_tasks WHERE task_id = $1', [taskId]))[0] as Record<string, unknown>;

  it('on SIGTERM lets the step end that runs, and turns newcomers away meanwhile', async () => {
    const service = await start();
    const pids = join(service.dataDir, 'pids');
    const taskId = await service.submit(documentOf(waitForGo(pids)));
    const [pid] = await writtenPids(pids, 1);
    expect((await service.get('/ready')).status).toBe(200);

    service.signal('SIGTERM');
    await until('it is not ready', async () => (await service.get('/ready')).status === 503);
    expect((await service.get('/ready')).json).toMatchObject({ status: 503, code: 'draining' });
    const refused = await service.post('/api/specs', JSON.stringify(documentOf('true')), 'application/json');
    expect(refused.status).toBe(503);
    expect(refused.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    expect(refused.json).toMatchObject({ code: 'draining' });
    // Readers are served to the end, and the process is alive.
    expect((await service.get('/health')).status).toBe(200);
    expect(await service.task(taskId)).toMatchObject({ status: 'running' });
    expect(isRunning(pid!)).toBe(true);

    writeFileSync(`${pids}.go`, '');
    expect(await service.exited).toEqual(GONE);
    expect(await row(taskId)).toMatchObject({ status: 'completed', attempt: 1, failures: 0, crashes: 0 });
    expect(await database.query('SELECT count(*)::int AS tasks FROM queue_tasks')).toEqual([{ tasks: 1 }]);
    expect(await database.query('SELECT * FROM queue_instances')).toEqual([]);
    expect(service.logs('Drained')).toHaveLength(1);
    await until('its pipes are gone', () => readdirSync(join(service.dataDir, 'tmp')).length === 0);
    expect(readdirSync(join(service.dataDir, 'workspaces'))).toEqual([]);
  });

  it('hands a step back that does not end within the grace time, for another start to run', async () => {
    const service = await start({ SHUTDOWN_GRACE_SECONDS: '1', STEP_KILL_GRACE_SECONDS: '0.5' });
    const pids = join(service.dataDir, 'pids');
    const taskId = await service.submit(documentOf([{ command: stubborn(pids) }, { command: 'echo second' }]));
    const running = await writtenPids(pids, 3);

    expect(await service.stop()).toEqual(GONE);
    expect(running.filter(isRunning)).toEqual([]);
    expect(await row(taskId)).toMatchObject({ status: 'pending', attempt: 1, failures: 0, crashes: 0, instance: null });

    const next = await start();
    expect(await next.waitForTask(taskId, 'completed')).toMatchObject({ attempt: 2, failures: 0, crashes: 0 });
    const ways = (await next.ledger(taskId)).filter((event) => event.kind === 'transition');
    expect(ways.map(({ from_status, to_status, attempt, cause }) => [from_status, to_status, attempt, cause])).toEqual([
      [null, 'pending', 0, null],
      ['pending', 'running', 1, null],
      ['running', 'pending', 1, 'handed_back'],
      ['pending', 'running', 2, null],
      ['running', 'completed', 2, null],
    ]);
  });

  it('comes at once on a second SIGTERM', async () => {
    const service = await start({ SHUTDOWN_GRACE_SECONDS: LONG, STEP_KILL_GRACE_SECONDS: '0.5' });
    const pids = join(service.dataDir, 'pids');
    const taskId = await service.submit(documentOf(stubborn(pids)));
    const running = await writtenPids(pids, 3);

    service.signal('SIGTERM');
    await service.waitForLog('Draining: waiting for running tasks');
    service.signal('SIGTERM');
    expect(await service.exited).toEqual(GONE);
    expect(running.filter(isRunning)).toEqual([]);
    expect(await row(taskId)).toMatchObject({ status: 'pending', attempt: 1, failures: 0, crashes: 0 });
    expect(service.stderr).toBe('SIGTERM: finishing what runs; again to stop at once\n');
  });

  it('comes after a cancel of the last task it waits for', async () => {
    const service = await start({ SHUTDOWN_GRACE_SECONDS: LONG, STEP_KILL_GRACE_SECONDS: '0.5' });
    const pids = join(service.dataDir, 'pids');
    const taskId = await service.submit(documentOf(stubborn(pids)));
    const running = await writtenPids(pids, 3);
    service.signal('SIGTERM');
    await service.waitForLog('Draining: waiting for running tasks');
    expect((await service.post(`/api/tasks/${taskId}/cancel`)).status).toBe(202);
    expect(await service.exited).toEqual(GONE);
    expect(running.filter(isRunning)).toEqual([]);
    expect(await row(taskId)).toMatchObject({ status: 'cancelled', error_message: 'cancelled by admin' });
  });

  it('comes on Ctrl-C, which all its processes see, after the step and before the embedded database', async () => {
    const dataDir = newFolder();
    const options = { dataDir, env: { SHUTDOWN_GRACE_SECONDS: LONG }, ownGroup: true };
    const service = await ServiceProcess.start(options);
    const pids = join(dataDir, 'pids');
    const taskId = await service.submit(documentOf(waitForGo(pids)));
    const [step] = await writtenPids(pids, 1);

    service.signalGroup('SIGINT');
    await service.waitForLog('Draining: waiting for running tasks');
    expect(isRunning(step!)).toBe(true);
    expect(postmasterOf(dataDir)).toBeDefined();
    expect(await service.task(taskId)).toMatchObject({ status: 'running' });
    writeFileSync(`${pids}.go`, '');
    expect(await service.exited).toEqual(GONE);
    expect(postmasterOf(dataDir)).toBeUndefined();
    expect(service.stderr).toBe('SIGINT: finishing what runs; again to stop at once\n');

    const next = await ServiceProcess.start(options);
    expect(await next.task(taskId)).toMatchObject({ status: 'completed', attempt: 1 });
    expect((await next.get(`/api/tasks/${taskId}/logs`)).text).toBe('went on\n');
    expect(await next.stop()).toEqual(GONE);
  });

  it('leaves no database behind when it is told to stop while it starts', async () => {
    const service = ServiceProcess.launch();
    await service.waitForLog(({ msg }) => msg?.startsWith('Creating a PostgreSQL') ?? false);
    await until('the database runs', () => postmasterOf(service.dataDir) !== undefined, { everyMs: 1 });
    expect(await service.stop()).toEqual(GONE);
    expect(postmasterOf(service.dataDir)).toBeUndefined();
  });
});
