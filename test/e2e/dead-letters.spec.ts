import { brokenInvariants } from '../support/invariant.js';
import { manyFailed } from '../support/many-failed.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';

/** Fails at its first attempt, and completes at the second. */
const document = (app: string) =>
  JSON.stringify({
    apiVersion: 'score.dev/v1b1',
    metadata: { name: app },
    containers: { web: { image: 'nginx:latest' } },
    workflow: {
      steps: [{ name: 'deploy', type: 'bash', config: { command: '[ "$ATTEMPT" -gt 1 ] || exit 3' } }],
    },
  });

describe('dead letters over HTTP', () => {
  let database: TestDatabase;
  let service: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  afterEach(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
  });

  const send = (path: string, body: object) => service.post(path, JSON.stringify(body), 'application/json');

  async function failed(app: string): Promise<string> {
    const { json } = await service.post('/api/specs', document(app), 'application/json');
    await service.waitForTask(json.task_id as string, 'failed');
    return json.task_id as string;
  }

  it('are listed, grouped, counted, redriven from where they failed, and discarded', async () => {
    const ids = [await failed('shop'), await failed('shop'), await failed('billing')];

    const { json: page } = await service.get('/api/queue/dead-letters?app_name=shop&cause=step_failed&limit=1');
    expect(page).toMatchObject({ tasks: [{ task_id: ids[1], status: 'failed', discarded_at: null }] });
    const cursor = page.next_cursor as string;
    const { json: second } = await service.get(`/api/queue/dead-letters?app_name=shop&limit=1&cursor=${cursor}`);
    expect(second).toMatchObject({ tasks: [{ task_id: ids[0] }], next_cursor: null });

    const { json: groups } = await service.get('/api/queue/dead-letters/groups');
    expect(groups).toMatchObject({
      dead_letters: 3,
      all_groups: 1,
      groups: [{ cause: 'step_failed', count: 3, task_id: ids[2] }],
    });
    const [{ error }] = groups.groups as [{ error: string }];

    const dry = await send('/api/queue/dead-letters/redrive', { app_name: 'shop', error, dry_run: true });
    expect([dry.status, dry.json]).toEqual([200, { count: 2 }]);
    const redriven = await send('/api/queue/dead-letters/redrive', { app_name: 'shop', error });
    expect([redriven.status, redriven.json]).toEqual([200, { count: 2 }]);
    await service.waitForTask(ids[0]!, 'completed');
    await service.waitForTask(ids[1]!, 'completed');

    expect((await send('/api/queue/dead-letters/discard', { task_ids: [ids[2]] })).json).toEqual({ count: 1 });
    expect((await service.get('/api/queue/dead-letters')).json).toEqual({ tasks: [], next_cursor: null });
    expect((await service.get('/api/queue/dead-letters?discarded=true')).json).toMatchObject({
      tasks: [{ task_id: ids[2], discarded_at: expect.any(String) }],
    });
    expect((await service.get('/api/queue/stats')).json).toMatchObject({ dead_letters: 0 });
    const { json: ledger } = await service.get(`/api/tasks/${ids[2]}/events`);
    expect((ledger.events as object[]).at(-1)).toMatchObject({ kind: 'operator', cause: 'discarded' });
  });

  it('in great number are dealt with by a job', async () => {
    await manyFailed((sql) => database.query(sql), 1_200, 'many');
    const answer = await send('/api/queue/dead-letters/discard', { app_name: 'many' });
    expect(answer.status).toBe(202);
    expect(answer.json).toMatchObject({ count: 1_200, job: expect.any(String) });
    const { self, stop } = answer.json.links as { self: string; stop: string };
    expect(answer.headers.location).toBe(self);
    await until('the job is done', async () => (await service.get(self)).json.status === 'completed');
    expect((await service.get(self)).json).toMatchObject({
      kind: 'discard',
      filter: { app_name: 'many' },
      total: 1_200,
      done: 1_200,
    });
    expect((await service.get('/api/queue/jobs')).json).toMatchObject({ jobs: [{ id: answer.json.job }] });
    const late = await send(stop, {});
    expect([late.status, late.json.code]).toEqual([409, 'conflict']);
    expect((await service.get('/api/queue/jobs/999')).json).toMatchObject({ code: 'job_not_found' });
  });

  it('and tasks that wait are never dealt with by mistake', async () => {
    for (const path of ['/api/queue/dead-letters/redrive', '/api/queue/dead-letters/discard', '/api/tasks/cancel']) {
      const nothing = await service.post(path, '', 'application/json');
      expect([path, nothing.status, nothing.json.code]).toEqual([path, 422, 'invalid_parameter']);
      const wrong = await send(path, { app_nmae: 'shop' });
      expect([path, wrong.status]).toEqual([path, 422]);
      expect(wrong.json.errors).toMatchObject([{ path: 'app_nmae', hint: "Did you mean 'app_name'?" }]);
    }
    for (const query of ['cause=none', 'limit=0', 'cursor=x', 'since=now', 'discarded=1', 'nobody=x', 'q=%00']) {
      expect([query, (await service.get(`/api/queue/dead-letters?${query}`)).status]).toEqual([query, 422]);
    }
    expect((await service.get('/api/queue/dead-letters/groups?group_by=app')).status).toBe(422);
  });

  it('the tasks of a filter are cancelled', async () => {
    const later = await service.post('/api/specs?delay=1h', document('later'), 'application/json');
    const other = await service.post('/api/specs?delay=1h', document('other'), 'application/json');
    const answer = await send('/api/tasks/cancel', { app_name: 'later', reason: 'not wanted' });
    expect([answer.status, answer.json]).toEqual([200, { count: 1 }]);
    const { json } = await service.get(`/api/tasks/${later.json.task_id as string}`);
    expect(json).toMatchObject({
      status: 'cancelled',
      error_message: expect.stringMatching(/^cancelled by .*: not wanted$/),
    });
    expect((await service.get(`/api/tasks/${other.json.task_id as string}`)).json).toMatchObject({
      status: 'scheduled',
    });
  });
});
