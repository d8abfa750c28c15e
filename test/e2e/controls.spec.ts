import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** A step that runs until the file `go` lies in the folder that it is told. */
const CATALOGUE = `
goldenpaths:
  hold:
    description: Holds the key of its application
    concurrency: {key: '\${metadata.name}'}
    parameters: {folder: {type: string, required: true}}
    workflow: &hold
      steps:
        - name: hold
          type: bash
          env: {FOLDER: '\${parameters.folder}'}
          command: until [ -e "$FOLDER/go" ]; do sleep 0.05; done
  refuse:
    description: The same, and refuses others
    concurrency: {key: '\${metadata.name}', when_full: reject}
    parameters: {folder: {type: string, required: true}}
    workflow: *hold
  replace:
    description: The same, and takes the place of others
    concurrency: {key: '\${metadata.name}', when_full: replace}
    parameters: {folder: {type: string, required: true}}
    workflow: *hold
`;

describe("the operator's controls over HTTP", () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let folder: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'turnpike-controls-'));
    const file = join(folder, 'goldenpaths.yaml');
    await writeFile(file, CATALOGUE);
    service = await ServiceProcess.start({
      env: { DATABASE_URL: database.url, GOLDEN_PATHS_FILE: file, DEFAULT_GOLDEN_PATH: 'hold' },
    });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const execute = (path: string, app: string, query = '') =>
    service.post(
      `/api/workflows/golden-paths/${path}/execute${query}`,
      JSON.stringify({ app_name: app, parameters: { folder: join(folder, app) } }),
      'application/json',
    );
  const release = async (app: string) => {
    await mkdir(join(folder, app), { recursive: true });
    await writeFile(join(folder, app, 'go'), '');
  };

  it('runs the tasks of one application one at a time, says so, refuses and replaces', async () => {
    const first = (await execute('hold', 'shop')).json.task_id;
    await service.waitForTask(first, 'running');
    const second = (await execute('hold', 'shop')).json.task_id;
    const why = (await service.get(`/api/tasks/${second}/why`)).json;
    expect(why.blocker).toMatchObject({ code: 'key_held', key: 'shop', held_by: [first] });
    const refused = await execute('refuse', 'shop');
    expect([refused.status, refused.json.code]).toEqual([409, 'concurrency_key_busy']);
    expect(refused.json.detail).toContain(first);
    const newest = (await execute('replace', 'shop')).json.task_id;
    const superseded = { status: 'cancelled', cause: 'superseded', error_message: `superseded by ${newest}` };
    expect(await service.waitForTask(first, 'cancelled')).toMatchObject(superseded);
    expect(await service.waitForTask(second, 'cancelled')).toMatchObject(superseded);
    await service.waitForTask(newest, 'running');
    const other = (await execute('hold', 'shop', '?concurrency_key=mine')).json.task_id;
    await service.waitForTask(other, 'running');
    await release('shop');
    await service.waitForTask(newest, 'completed');
    await service.waitForTask(other, 'completed');
  });

  it('pauses and resumes an application', async () => {
    await release('cart');
    const paused = await service.post(
      '/api/queue/pause',
      '{"app_name": "cart", "reason": "incident 7"}',
      'application/json',
    );
    expect([paused.status, paused.json]).toMatchObject([200, { changed: true, pauses: [{ app_name: 'cart' }] }]);
    const task = (await execute('hold', 'cart')).json.task_id;
    const why = (await service.get(`/api/tasks/${task}/why`)).json;
    expect(why).toMatchObject({ status: 'pending', blocker: { code: 'paused' } });
    expect((await service.get('/api/queue/pauses')).json.pauses).toHaveLength(1);
    const resumed = await service.post('/api/queue/resume', '{"app_name": "cart"}', 'application/json');
    expect(resumed.json).toEqual({ changed: true, pauses: [] });
    await service.waitForTask(task, 'completed');
  });

  it.each([
    ['both names', '{"app_name": "a", "workflow_name": "b"}', 'workflow_name'],
    ['an empty name', '{"app_name": ""}', 'app_name'],
    ['an unknown field', '{"application": "a"}', 'application'],
    ['a number', '{"app_name": 5}', 'app_name'],
    ['a name that is too long', JSON.stringify({ app_name: 'x'.repeat(256) }), 'app_name'],
    ['NUL', '{"app_name": "a\\u0000"}', 'app_name'],
  ])('refuses a pause with %s', async (_, body, path) => {
    const answer = await service.post('/api/queue/pause', body, 'application/json');
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(JSON.stringify(answer.json)).toContain(path);
    expect((await service.get('/api/queue/pauses')).json.pauses).toEqual([]);
  });
});
