import { brokenInvariants } from '../support/invariant.js';
import { type Answer, cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const NIGHTLY = {
  name: 'nightly',
  cron: '30 2 * * *',
  timezone: 'Europe/Berlin',
  golden_path: 'deploy-app',
  spec: documentOf('echo by the clock', 'clock-app'),
  labels: { team: 'blue' },
  overlap: 'skip',
  catch_up: 'one',
};

describe('schedules', () => {
  let database: TestDatabase;
  let api: ServiceProcess;
  let worker: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    const start = (ROLE: string) => ServiceProcess.start({ env: { DATABASE_URL: database.url, ROLE } });
    [api, worker] = await Promise.all([start('api'), start('worker')]);
  });

  afterEach(async () => {
    await database.query('DELETE FROM schedules');
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const send = (method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> =>
    api.request(method, `/api/schedules${path}`, {
      headers: body === undefined ? {} : { 'Content-Type': type },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  const problem = ({ status, json }: Answer): unknown[] => [
    status,
    json.code,
    (json.errors ?? []).map((error: Json) => error.path),
  ];

  it('are made, read, changed and removed', async () => {
    const made = await send('POST', '', NIGHTLY);
    expect(made.status).toBe(201);
    const { id } = made.json;
    expect(made.headers.location).toBe(`/api/schedules/${id}`);
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    expect(made.json).toEqual({
      ...NIGHTLY,
      ...{ id: expect.stringMatching(/^\d+$/), app_name: null, parameters: {}, priority: 'medium', paused: false },
      ...{ next_run_at: time, last_fired_at: null, last_task_id: null, last_error: null },
      ...{ created_at: time, updated_at: time },
      links: { self: `/api/schedules/${id}`, firings: `/api/schedules/${id}/firings` },
    });
    expect(made.json.next_run_at).toMatch(/T0[01]:30:00\.000Z$/);

    for (const path of [`/${id}`, '/nightly']) expect((await send('GET', path)).json).toEqual(made.json);
    expect((await send('GET', '')).json).toEqual({ schedules: [made.json], next_cursor: null });

    const edited = await send('PATCH', '/nightly', 'cron: "0 4 * * *"\n', 'application/yaml');
    expect([edited.status, edited.json.cron, edited.json.timezone]).toEqual([200, '0 4 * * *', 'Europe/Berlin']);
    const whole = await send('PUT', '/nightly', { name: 'weekly', cron: '@weekly', app_name: 'clock-app' });
    expect(whole.json).toMatchObject({ id, name: 'weekly', timezone: 'UTC', spec: null, overlap: 'allow', labels: {} });

    expect((await send('POST', '/weekly/pause')).json).toMatchObject({ paused: true, next_run_at: null });
    expect((await send('POST', '/weekly/pause')).status).toBe(200);
    expect((await send('POST', '/weekly/resume')).json).toMatchObject({ paused: false, next_run_at: time });
    expect((await send('PATCH', '/weekly', { paused: true })).json.next_run_at).toBeNull();

    const removed = await send('DELETE', '/weekly');
    expect([removed.status, removed.text]).toEqual([204, '']);
    expect(problem(await send('GET', '/weekly'))).toEqual([404, 'schedule_not_found', []]);
    expect(problem(await send('DELETE', `/${id}`))).toEqual([404, 'schedule_not_found', []]);
  });

  it('are run now when asked, and by the clock on the instance that has workers', async () => {
    await send('POST', '', NIGHTLY);
    const run = await send('POST', '/nightly/run');
    expect(run.status).toBe(202);
    expect(run.json).toMatchObject({ application: 'clock-app', status: 'enqueued', golden_path: 'deploy-app' });
    expect(run.headers.location).toBe(`/api/tasks/${run.json.task_id}`);
    const task = await api.waitForTask(run.json.task_id as string, 'completed');
    expect(task).toMatchObject({ labels: { team: 'blue' }, metadata: { user: 'admin', source: 'schedule' } });
    expect((await api.get(`/api/tasks/${run.json.task_id}/logs`)).text).toBe('by the clock\n');

    await send('PATCH', '/nightly', { cron: '* * * * * *' });
    let fired: Json;
    await until('it has fired', async () => {
      fired = (await send('GET', '/nightly/firings')).json.firings.find((firing: Json) => !firing.by_hand);
      return fired?.outcome === 'enqueued';
    });
    await send('POST', '/nightly/pause');
    await worker.waitForLog('Schedule fired');
    const byClock = await api.waitForTask(fired.task_id as string, 'completed');
    expect(byClock.metadata).toMatchObject({ user: 'schedule:nightly', schedule: 'nightly', source: 'schedule' });
    const [first] = await api.ledger(fired.task_id as string);
    expect(first).toMatchObject({ actor: 'schedule:nightly', to_status: 'pending' });
    const open = `SELECT count(*)::int AS n FROM queue_tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')`;
    await until('all have ended', async () => ((await database.query(open))[0] as { n: number }).n === 0);
  });

  it.each([
    [{ ...NIGHTLY, cron: '99 * * * *' }, [422, 'invalid_parameter', ['cron']]],
    [{ ...NIGHTLY, timezone: 'Europe/Berln', zone: 1 }, [422, 'invalid_parameter', ['zone']]],
    [{ ...NIGHTLY, timezone: 'Europe/Berln' }, [422, 'invalid_parameter', ['timezone']]],
    [{ name: 'a' }, [422, 'invalid_parameter', ['cron']]],
    [{ ...NIGHTLY, golden_path: 'deploy-ap' }, [422, 'invalid_parameter', ['golden_path']]],
    [{ ...NIGHTLY, parameters: { replicas: 'many' } }, [422, 'invalid_parameter', ['parameters.replicas']]],
    [{ ...NIGHTLY, parameters: { replica: 1 } }, [422, 'invalid_parameter', ['parameters.replica']]],
    [{ ...NIGHTLY, labels: { 'no label': 'x' } }, [422, 'invalid_document', ['labels.no label']]],
    [{ ...NIGHTLY, spec: { ...NIGHTLY.spec, metadata: {} } }, [422, 'invalid_document', ['spec.metadata.name']]],
    [{ ...NIGHTLY, spec: null }, [422, 'invalid_document', ['app_name']]],
    [
      { ...NIGHTLY, spec: documentOf([{ command: '' }]) },
      [422, 'invalid_document', [expect.stringMatching(/^spec\./)]],
    ],
    ['{"name": "\\u0000"}', [400, 'malformed_json', [expect.anything()]]],
    ['nonsense', [400, 'malformed_json', [undefined]]],
  ])('%j is refused with its place, and not stored', async (body, expected) => {
    const answer = await send('POST', '', body);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(problem(answer)).toEqual(expected);
    expect(await database.query('SELECT FROM schedules')).toEqual([]);
  });

  it('are refused under a name that is taken, as a form, without a key, and by a wrong cursor', async () => {
    await send('POST', '', NIGHTLY);
    expect(problem(await send('POST', '', NIGHTLY))).toEqual([409, 'conflict', ['name']]);
    const form = 'application/x-www-form-urlencoded';
    expect((await send('POST', '', 'name=x', form)).status).toBe(415);
    expect((await send('POST', '')).status).toBe(415);
    expect((await api.get('/api/schedules', { token: null })).status).toBe(401);
    expect(problem(await send('GET', '?cursor=x'))).toEqual([422, 'invalid_parameter', ['cursor']]);
    expect(problem(await send('GET', '/nightly/firings?limit=0'))).toEqual([422, 'invalid_parameter', ['limit']]);
    expect(problem(await send('GET', '/%00'))).toEqual([404, 'schedule_not_found', []]);
    expect(problem(await send('PATCH', '/nowhere', {}))).toEqual([404, 'schedule_not_found', []]);
    expect((await worker.get('/api/schedules')).status).toBe(404);
  });
});
