import { QueueDrainingError } from '../../../src/queue/queue-errors.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const HOUR = 3_600_000;

describe('enqueue', () => {
  it('stores the task as a row with all that the caller said, ready to be claimed', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(
      aTask({
        workflowSpec: { steps: [{ name: 'one' }], text: 'ünïcode 🚦 \\u0000 "quoted"' },
        metadata: { user: 'ada', source: 'api' },
        priority: 'high',
        maxAttempts: 4,
        timeoutSeconds: 12.5,
        goldenPath: 'deploy-app',
        requestId: 'req-1',
      }),
    );
    expect(taskId).toMatch(/^task-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const row = await fixture.task(taskId);
    expect(row).toMatchObject({
      app_name: 'demo-app',
      workflow_name: 'golden-path-deploy-app',
      workflow_spec: { steps: [{ name: 'one' }], text: 'ünïcode 🚦 \\u0000 "quoted"' },
      metadata: { user: 'ada', source: 'api' },
      status: 'pending',
      priority: 'high',
      attempt: 0,
      failures: 0,
      crashes: 0,
      max_attempts: 4,
      timeout_seconds: 12.5,
      golden_path: 'deploy-app',
      request_id: 'req-1',
      instance: null,
      cause: null,
      error_message: null,
      started_at: null,
      completed_at: null,
    });
    expect(row.run_at).toEqual(row.enqueued_at);
    expect(row.start_by - row.enqueued_at).toBe(60_000);
    expect(await fixture.query('SELECT start_by FROM queue_ready')).toEqual([{ start_by: row.start_by }]);
  });

  it('gives one attempt and ten minutes unless told otherwise', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const row = await fixture.task(taskId);
    expect(row).toMatchObject({ priority: 'medium', max_attempts: 1, timeout_seconds: null });
    expect(row.start_by - row.enqueued_at).toBe(600_000);
  });

  it('promises a start by priority, or within the seconds asked for', async () => {
    const { queue } = await fixture.startApi();
    const promised = async (changes: Parameters<typeof aTask>[0]) => {
      const row = await fixture.task((await queue.enqueue(aTask(changes))).taskId);
      return row.start_by - row.run_at;
    };
    expect(await promised({ priority: 'high' })).toBe(60_000);
    expect(await promised({ priority: 'medium' })).toBe(600_000);
    expect(await promised({ priority: 'low' })).toBe(HOUR);
    expect(await promised({ priority: 'urgent' })).toBeLessThan(-365 * 24 * HOUR);
    expect(await promised({ priority: 'low', startWithinSeconds: 5 })).toBe(5_000);
  });

  it('begins the ledger of the task, signed by the user in its metadata', async () => {
    const { queue } = await fixture.startApi();
    const signed = await queue.enqueue(aTask({ metadata: { user: 'ada' }, requestId: 'req-7' }));
    expect(await fixture.events(signed.taskId)).toMatchObject([
      { from_status: null, to_status: 'pending', attempt: 0, actor: 'ada', cause: null, request_id: 'req-7' },
    ]);
    const unsigned = await queue.enqueue(aTask({ metadata: {} }));
    const [{ session_user }] = (await fixture.query('SELECT session_user')) as [{ session_user: string }];
    expect(await fixture.events(unsigned.taskId)).toMatchObject([{ actor: session_user }]);
  });

  it('stores many, and answers with the ids in the order of the tasks', async () => {
    const { queue, metrics } = await fixture.startApi();
    const tasks = Array.from({ length: 40 }, (_, n) => aTask({ appName: `app-${n}` }));
    const answers = await queue.enqueueMany(tasks);
    const names = await Promise.all(answers.map(async ({ taskId }) => (await fixture.task(taskId)).app_name));
    expect(names).toEqual(tasks.map((task) => task.appName));
    expect(metrics.snapshot().enqueued).toBe(40);
    expect(await queue.enqueueMany([])).toEqual([]);
  });

  it('keeps a task for later with runAt or delaySeconds, and promises its start from then', async () => {
    const { queue } = await fixture.startApi();
    const runAt = new Date(Date.now() + HOUR);
    const at = await queue.enqueue(aTask({ runAt, delaySeconds: 1 }));
    const row = await fixture.task(at.taskId);
    expect(row).toMatchObject({ status: 'scheduled', run_at: runAt });
    expect(row.start_by - row.run_at).toBe(600_000);
    expect(await fixture.way(at.taskId)).toBe('scheduled');

    const delayed = await fixture.task((await queue.enqueue(aTask({ delaySeconds: 90 }))).taskId);
    expect(delayed.status).toBe('scheduled');
    expect(delayed.run_at - delayed.enqueued_at).toBe(90_000);
    expect(await fixture.query('SELECT run_at FROM queue_scheduled ORDER BY run_at')).toEqual([
      { run_at: delayed.run_at },
      { run_at: runAt },
    ]);
  });

  it('takes a time in the past as now', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ runAt: new Date(Date.now() - HOUR) }));
    const row = await fixture.task(taskId);
    expect(row.status).toBe('pending');
    expect(row.start_by - row.enqueued_at).toBe(600_000);
  });

  it('refuses new tasks from the moment it drains', async () => {
    const { queue } = await fixture.start();
    const drained = queue.drain();
    await expect(queue.enqueue(aTask())).rejects.toBeInstanceOf(QueueDrainingError);
    await expect(queue.enqueueMany([aTask()])).rejects.toBeInstanceOf(QueueDrainingError);
    await drained;
    await expect(queue.enqueue(aTask())).rejects.toBeInstanceOf(QueueDrainingError);
    expect(queue.draining).toBe(true);
    expect(await fixture.query('SELECT FROM queue_tasks')).toEqual([]);
  });

  it('loses nothing that is under way when the instance closes', async () => {
    const instance = await fixture.startApi();
    const enqueues = Array.from({ length: 20 }, () => instance.queue.enqueue(aTask()));
    await instance.close();
    const ids = (await Promise.all(enqueues)).map(({ taskId }) => taskId);
    expect(await fixture.query('SELECT FROM queue_tasks WHERE task_id = ANY($1)', [ids])).toHaveLength(20);
  });
});
