import { EventReader } from '../support/event-reader.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf } from './documents.js';

const PATH = '/api/events/stream';

describe('the stream of events', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await cleanUp();
    await database.drop();
  });

  const start = (env: Record<string, string> = {}) =>
    ServiceProcess.start({ env: { DATABASE_URL: database.url, ...env } });
  const types = (reader: EventReader, taskId: string) =>
    reader.events.filter(({ data }) => data.data.task_id === taskId).map(({ data }) => data.type as string);
  const ends = (reader: EventReader, taskId: string) => () => types(reader, taskId).includes('task.completed');
  /** The ledger's ids, in the order of the tasks' events, against those that readers got. */
  const ledger = async () =>
    (await database.query('SELECT id FROM queue_task_events WHERE task_id IS NOT NULL')).map(({ id }) => id as string);
  const ids = (...readers: EventReader[]) =>
    readers.flatMap(({ events }) => events.map(({ data }) => data.data.event_id as string));
  const sorted = (list: readonly string[]) => [...list].sort((a, b) => Number(a) - Number(b));

  it('tells what happens on any instance, and goes on over a restart without a gap or a double', async () => {
    let api = await start({ ROLE: 'api' });
    const worker = await start({ ROLE: 'worker' });
    const first = await EventReader.open(api, PATH);
    expect(first.response.headers).toMatchObject({
      ...{ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    });
    const one = await api.submit(documentOf([{ name: 'build', command: 'true' }]));
    await first.waitFor('the task ends', ends(first, one));
    expect(types(first, one)).toEqual([
      ...['task.enqueued', 'task.started', 'task.step_started', 'task.step_completed', 'task.completed'],
    ]);
    const step = first.events.find(({ data }) => data.type === 'task.step_completed')!.data;
    expect(step).toEqual({
      type: 'task.step_completed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: {
        ...{ event_id: expect.any(String), task_id: one, app_name: 'demo-app', attempt: 1, status: null, cause: null },
        ...{ workflow_name: 'golden-path-deploy-app', golden_path: 'deploy-app', request_id: null },
        actor: expect.stringMatching(/^worker:/),
        step: { name: 'build', type: 'bash', status: 'completed', exit_code: 0 },
      },
    });

    // The instance that serves the stream ends, and things go on happening meanwhile.
    await api.stop();
    await first.waitFor('the stream ends', () => first.ended !== undefined);
    expect(first.ended).toEqual({ complete: true });
    const between = await start({ ROLE: 'api' });
    const two = await between.submit(documentOf('true'));
    await between.waitForTask(two, 'completed');
    await between.kill();
    api = await start({ ROLE: 'api' });
    const second = await EventReader.open(api, PATH, first.lastId);
    const three = await api.submit(documentOf('true'));
    await second.waitFor('the tasks end', () => ends(second, two)() && ends(second, three)());
    expect(sorted(ids(first, second))).toEqual(sorted(await ledger()));
    expect(types(second, two)).toHaveLength(5);

    // From the middle of what it had.
    const middle = first.events[2]!.id;
    const third = await EventReader.open(api, PATH, middle);
    await third.waitFor('all came', () => third.events.length === first.events.length - 3 + second.events.length);
    expect(ids(third)).toEqual(ids(first, second).slice(3));
    await worker.stop();
  });

  it('gives a reader what it asks for', async () => {
    const service = await start();
    const [shop, failures, both] = await Promise.all([
      EventReader.open(service, `${PATH}?app_name=shop`),
      EventReader.open(service, `${PATH}?type=task.failed`),
      EventReader.open(service, `${PATH}?type=task.enqueued,task.failed&workflow_name=golden-path-deploy-app`),
    ]);
    const bought = await service.submit(documentOf('true', 'shop'));
    const broken = await service.submit(documentOf('exit 3', 'forum'));
    await shop.waitFor('it ends', ends(shop, bought));
    await failures.waitFor('it fails', () => failures.events.length === 1);
    await both.waitFor('all came', () => both.events.length === 3);
    expect(new Set(shop.events.map(({ data }) => data.data.app_name))).toEqual(new Set(['shop']));
    expect(failures.events[0]!.data).toMatchObject({
      type: 'task.failed',
      data: { task_id: broken, status: 'failed', cause: 'step_failed', error_message: expect.any(String) },
    });
    expect(types(both, broken)).toEqual(['task.enqueued', 'task.failed']);
    expect(types(both, bought)).toEqual(['task.enqueued']);
  });

  it('says what is wrong with a request', async () => {
    const service = await start();
    const wrong = await service.get(`${PATH}?type=task.complete&app=x`);
    expect([wrong.status, wrong.json.code]).toEqual([422, 'invalid_parameter']);
    expect(wrong.json.errors).toEqual([
      expect.objectContaining({ path: 'app' }),
      {
        ...{ path: 'type', message: `unknown type of event 'task.complete'` },
        hint: `Did you mean 'task.completed'?`,
      },
    ]);
    for (const id of ['x', '1', '999999999999999999-1', '1-2_3-4_5;']) {
      const answer = await service.get(PATH, { headers: { 'Last-Event-ID': id } });
      expect([answer.status, answer.json.errors[0].path]).toEqual([422, 'Last-Event-ID']);
    }
    expect((await service.get(PATH, { token: null })).status).toBe(401);
  });

  it('reaches 200 readers at once over one connection that listens', async () => {
    const service = await start();
    const readers = await Promise.all(Array.from({ length: 200 }, () => EventReader.open(service, PATH)));
    const taskId = await service.submit(documentOf('true'));
    for (const reader of readers) await reader.waitFor('it ends', ends(reader, taskId));
    expect(readers.map((reader) => types(reader, taskId).length)).toEqual(readers.map(() => 5));
    const listening = await database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`,
    );
    expect(listening).toHaveLength(1);
    readers.forEach((reader) => reader.leave());
  });

  it('cuts a slow reader off, which loses nothing by it', async () => {
    const service = await start({ ROLE: 'api' });
    const note = (count: number) =>
      database.query(
        `INSERT INTO queue_task_events (kind, task_id, actor, cause, detail)
         SELECT 'operator', 'task-' || n, 'ada', 'noted', jsonb_build_object('why', repeat('x', 1500))
         FROM generate_series(1, $1::int) n`,
        [count],
      );
    const [slow, quick] = await Promise.all([EventReader.open(service, PATH), EventReader.open(service, PATH)]);
    await note(1);
    for (const reader of [slow, quick]) await reader.waitFor('it has caught up', () => reader.events.length === 1);
    // One takes nothing any more, the other one all; more happens than is kept for the one, and than its socket holds.
    slow.response.pause();
    for (let n = 0; n < 30; n++) await note(500);
    await quick.waitFor('all came', () => quick.events.length === 15_001);
    slow.response.resume();
    await service.waitForLog('A reader of events is too slow and was cut off');
    await slow.waitFor('it is cut off', () => slow.ended !== undefined);
    const back = await EventReader.open(service, PATH, slow.lastId);
    await back.waitFor('it has the rest', () => slow.events.length + back.events.length === 15_001);
    expect(ids(slow, back)).toEqual(ids(quick));
    quick.leave();
    back.leave();
  });
});
