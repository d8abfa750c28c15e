import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenInvariants } from '../support/invariant.js';
import { isRunning, writtenPids } from '../support/processes.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf, waitForGo } from './documents.js';

describe('two services on one database', () => {
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
    ServiceProcess.start({ env: { DATABASE_URL: database.url, STEP_KILL_GRACE_SECONDS: '0.5', ...env } });

  it('share the work: one takes submissions, the other runs them and serves nothing but its health', async () => {
    const [api, worker] = await Promise.all([start({ ROLE: 'api' }), start({ ROLE: 'worker' })]);
    expect(api.logs().some(({ msg }) => msg?.startsWith('Async workflow queue'))).toBe(false);
    expect(worker.logs('Async workflow queue initialized with 5 workers')).toHaveLength(1);

    const taskId = await api.submit(documentOf('echo done elsewhere'));
    const task = await api.waitForTask(taskId, 'completed');
    expect(task.instance).toContain(`-${worker.pid}-`);
    expect((await api.get(`/api/tasks/${taskId}/logs`)).text).toBe('done elsewhere\n');
    expect(worker.logs('Task completed')).toMatchObject([{ task_id: taskId, worker_id: task.instance }]);
    expect((await api.get('/api/queue/stats')).json).toMatchObject({ instances: 1, workers: 5, tasks_completed: 1 });

    for (const path of ['/health', '/ready']) expect((await worker.get(path)).status).toBe(200);
    const others = [
      ...['/api/tasks', `/api/tasks/${taskId}`, '/api/queue/stats', '/api/docs', '/api/docs-json'],
      '/api/specs',
    ];
    for (const path of others) {
      const answer = await worker.get(path);
      expect([path, answer.status, answer.json?.code]).toEqual([path, 404, 'not_found']);
    }
    expect((await worker.post('/api/specs', '{}', 'application/json')).status).toBe(404);
    expect(await Promise.all([api.stop(), worker.stop()])).toEqual(Array(2).fill({ code: 0, signal: null }));
  });

  it('end a task of the other: its processes are gone before it is cancelled', async () => {
    const [api, worker] = await Promise.all([start({ ROLE: 'api' }), start({ ROLE: 'worker' })]);
    const pids = join(worker.dataDir, 'pids');
    const command = `
      echo $$ >> '${pids}'
      sleep 300 & echo $! >> '${pids}'
      bash -c 'trap "" TERM; echo $$ >> "${pids}"; while :; do sleep 0.1; done' &
      wait`;
    const taskId = await api.submit(documentOf([{ command }, { command: 'echo never' }]));
    const processes = await writtenPids(pids, 3);

    const body = '{"reason":"wrong version"}';
    const headers = { 'X-Request-Id': 'cancel-1' };
    const answer = await api.post(`/api/tasks/${taskId}/cancel`, body, 'application/json', { headers });
    expect([answer.status, answer.json.status]).toEqual([202, 'running']);
    const status = async () =>
      (await database.query('SELECT status FROM queue_tasks WHERE task_id = $1', [taskId]))[0] as { status: string };
    await until('it is cancelled', async () => (await status()).status !== 'running', { everyMs: 1 });
    expect(processes.filter(isRunning)).toEqual([]);

    const task = await api.task(taskId);
    expect(task).toMatchObject({ status: 'cancelled', cause: 'cancelled', failures: 0 });
    expect(task.error_message).toBe('cancelled by admin: wrong version');
    expect(task.steps).toMatchObject([{ status: 'cancelled', cause: 'cancelled' }, { status: 'skipped' }]);
    const asked = (await api.ledger(taskId)).find((event) => event.kind === 'operator');
    expect(asked).toMatchObject({ actor: 'admin', cause: 'cancel_requested', request_id: 'cancel-1' });
  });

  it('run what either of them takes, each task once', async () => {
    const services = await Promise.all([start({ QUEUE_WORKERS: '2' }), start({ QUEUE_WORKERS: '2' })]);
    const pids = join(services[0].dataDir, 'pids');
    // Four workers, four tasks that wait for each other's end: both services must take part.
    const document = documentOf(waitForGo(pids));
    const held = await Promise.all([0, 1, 0, 1].map((which) => services[which]!.submit(document)));
    await writtenPids(pids, 4);
    const quick = await Promise.all(
      Array.from({ length: 20 }, (_, n) => services[n % 2]!.submit(documentOf('echo $ATTEMPT'))),
    );
    for (const service of services) {
      expect((await service.get('/api/queue/stats')).json).toMatchObject({
        ...{ instances: 2, workers: 4, active_tasks: 4, queue_size: 20 },
      });
    }
    writeFileSync(`${pids}.go`, '');
    for (const taskId of [...held, ...quick]) {
      expect(await services[0].waitForTask(taskId, 'completed')).toMatchObject({ attempt: 1, crashes: 0 });
    }
    const done = services.map((service) => service.logs('Task completed').length);
    expect(done[0]! + done[1]!).toBe(24);
    expect(Math.min(...done)).toBeGreaterThanOrEqual(2);
    const runs = await database.query(
      `SELECT count(*)::int AS n FROM queue_task_events WHERE kind = 'transition' AND to_status = 'running'`,
    );
    expect(runs).toEqual([{ n: 24 }]);
  });
});
