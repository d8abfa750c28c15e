import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';

const document = (command: string) => ({
  apiVersion: 'score.dev/v1b1',
  metadata: { name: 'demo-app' },
  containers: { web: { image: 'nginx:latest' } },
  workflow: { steps: [{ name: 'work', type: 'bash', config: { command } }] },
});

describe('why, and the instances', () => {
  let database: TestDatabase;
  let service: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url, QUEUE_WORKERS: '1' } });
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const why = async (taskId: string) => (await service.get(`/api/tasks/${taskId}/why`)).json;
  const patch = (id: string, body: string) =>
    service.request('PATCH', `/api/queue/instances/${id}`, { body, headers: { 'Content-Type': 'application/json' } });

  it('a drained instance is why a task waits; when it goes on, the task runs, fails, and says why', async () => {
    const { json } = await service.get('/api/queue/instances');
    expect(json).toMatchObject({ count: 1, instances: [{ pid: service.pid, workers: 1, busy: 0, alive: true }] });
    const id = json.instances[0].id as string;

    const drained = await patch(id, '{"draining": true, "workers": 2}');
    expect(drained).toMatchObject({ status: 200, json: { id, draining: true, workers: 2 } });
    const taskId = await service.submit(document('echo "no space left" >&2; exit 3'));
    const waiting = await why(taskId);
    expect(waiting).toMatchObject({ status: 'pending', position: 1, blocker: { code: 'no_live_worker' } });
    expect(await service.task(taskId)).toMatchObject({ links: { why: `/api/tasks/${taskId}/why` } });

    expect((await patch(id, '{"draining": false}')).json).toMatchObject({ draining: false, workers: 2 });
    await service.waitForTask(taskId, 'failed');
    const ended = await why(taskId);
    expect(ended).toMatchObject({ blocker: null, position: null, expectation: null });
    expect(ended.summary).toMatch(/^Failed at attempt 1 with cause step_failed: .*work.*3/);
    expect(ended.chain.map(({ what }: { what: string }) => what)).toEqual(['failed', 'step_failed', 'submitted']);
    const noted = await database.query(
      `SELECT actor, detail FROM queue_task_events WHERE cause = 'instance_changed' ORDER BY id`,
    );
    expect(noted).toMatchObject([
      { actor: 'admin', detail: { instance: id, draining: true, workers: { from: 1, to: 2 } } },
      { actor: 'admin', detail: { instance: id, draining: false } },
    ]);
  });

  it('says what a running task is at', async () => {
    const taskId = await service.submit(document('sleep 600'));
    await service.waitForTask(taskId, 'running');
    await until('its step is under way', async () => (await why(taskId)).running?.step === 'work');
    expect((await why(taskId)).running).toMatchObject({ attempt: 1, elapsed_ms: expect.any(Number) });
    await service.post(`/api/tasks/${taskId}/cancel`, '{"reason": "seen enough"}', 'application/json');
    await service.waitForTask(taskId, 'cancelled');
    expect((await why(taskId)).summary).toContain('seen enough');
  });

  it('refuses what cannot be', async () => {
    const { json } = await service.get('/api/queue/instances');
    const id = json.instances[0].id as string;
    expect(await service.get('/api/tasks/task-none/why')).toMatchObject({
      status: 404,
      json: { code: 'task_not_found' },
    });
    expect(await patch('nobody', '{"workers": 1}')).toMatchObject({
      status: 404,
      json: { code: 'instance_not_found' },
    });
    expect(await patch('no%00body', '{"workers": 1}')).toMatchObject({ status: 404 });
    for (const body of ['{"workers": -1}', '{"workers": 1.5}', '{"workers": 1001}', '{"drain": true}', '{}', '[]']) {
      expect(await patch(id, body)).toMatchObject({ status: 422, json: { code: 'invalid_parameter' } });
    }
    expect(await patch(id, '{"workers":')).toMatchObject({ status: 400, json: { code: 'malformed_json' } });
  });
});
