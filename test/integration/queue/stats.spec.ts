import { aTask, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const EMPTY = {
  queue_size: 0,
  queue_capacity: 100_000,
  active_tasks: 0,
  workers: 0,
  instances: 0,
  scheduled_tasks: 0,
  waiting_tasks: 0,
  dead_letters: 0,
  tasks_enqueued: 0,
  tasks_completed: 0,
  tasks_failed: 0,
  tasks_cancelled: 0,
  completed_per_minute: null,
  promises_missed: 0,
  avg_queue_time_ms: 0,
  avg_execution_time_ms: 0,
  notifications: 'on',
  degraded: null,
};

describe('the stats', () => {
  it('of an empty queue are zeros', async () => {
    const { queue } = await fixture.startApi();
    expect(await queue.getStats()).toEqual(EMPTY);
  });

  it('count the whole cluster: what waits, runs, and has ended, and how long that took', async () => {
    const gate = fixture.gate();
    const api = await fixture.startApi();
    const worker = await fixture.start({
      workers: 2,
      behaviour: (run) => (run.task.appName === 'bad' ? Promise.resolve(failure('bad')) : gate.hold(run)),
    });
    const other = await fixture.start({ workers: 0 });
    const bad = await other.queue.enqueue(aTask({ appName: 'bad' }));
    const retrying = await other.queue.enqueue(aTask({ appName: 'bad', maxAttempts: 2 }));
    await fixture.becomes(bad.taskId, 'failed');
    await fixture.becomes(retrying.taskId, 'retrying');
    await fixture.query(`UPDATE queue_scheduled SET run_at = now() + interval '1 hour'`);
    await api.queue.enqueue(aTask({ delaySeconds: 60 }));
    const started = await api.queue.enqueueMany([aTask(), aTask()]);
    await worker.handler.run(4);
    const [, cancelled] = await api.queue.enqueueMany([aTask(), aTask()]);
    await api.queue.cancel(cancelled!.taskId, { actor: 'ada' });

    const stats = await api.queue.getStats();
    expect(stats).toMatchObject({
      queue_size: 1,
      active_tasks: 2,
      workers: 2,
      instances: 1,
      scheduled_tasks: 2,
      waiting_tasks: 0,
      tasks_enqueued: 7,
      tasks_completed: 0,
      tasks_failed: 1,
      tasks_cancelled: 1,
    });
    expect(stats.avg_queue_time_ms).toBeGreaterThan(0);
    expect(stats.avg_execution_time_ms).toBeGreaterThan(0);

    gate.release();
    await fixture.becomes(started[0]!.taskId, 'completed');
    await until('all is done', async () => (await api.queue.getStats()).tasks_completed === 3);
    expect(await api.queue.getStats()).toMatchObject({ queue_size: 0, active_tasks: 0, tasks_failed: 1 });
    // Each instance has watched for a time of its own.
    const common = async ({ queue }: QueueInstance) => ({ ...(await queue.getStats()), completed_per_minute: 0 });
    expect(await common(worker)).toEqual(await common(api));
  });

  it('survive the instances, and the folding of the counters', async () => {
    const { queue } = await fixture.startApi();
    for (let n = 0; n < 120; n++) await queue.enqueue(aTask());
    const rows = async () => (await fixture.query('SELECT count(*)::int AS n FROM queue_counters'))[0]!.n as number;
    expect(await rows()).toBeGreaterThan(100);
    const worker = await fixture.start();
    await until('all is done', async () => (await queue.getStats()).tasks_completed === 120);
    await until('the counters are folded', async () => (await rows()) <= 100);
    await worker.close();
    const { avg_queue_time_ms, avg_execution_time_ms, ...counts } = await queue.getStats();
    expect(counts).toMatchObject({ queue_size: 0, active_tasks: 0, instances: 0, workers: 0, tasks_enqueued: 120 });
    expect(avg_queue_time_ms).toBeGreaterThan(0);
    expect(avg_execution_time_ms).toBeGreaterThan(0);
  });

  it('count the time in the queue from the time the task was due', async () => {
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask({ delaySeconds: 3_600 }));
    const hand = await fixture.hand();
    await hand.query(`
      UPDATE queue_tasks SET enqueued_at = now() - interval '1 day', run_at = now() - interval '10 s';
      UPDATE queue_scheduled SET run_at = now() - interval '10 s'`);
    const { handler } = await fixture.start();
    const { task } = await handler.run(1);
    await fixture.becomes(taskId, 'completed');
    const { avg_queue_time_ms } = await api.queue.getStats();
    for (const ms of [avg_queue_time_ms, task.queueTimeMs]) {
      expect(ms).toBeGreaterThanOrEqual(10_000);
      expect(ms).toBeLessThan(60_000);
    }
  });
});

describe('the active tasks', () => {
  it('are those that run now, longest first, with the step under way', async () => {
    const gate = fixture.gate();
    const { queue, handler, id } = await fixture.start({ behaviour: gate.hold });
    expect(await queue.getActiveTasks()).toEqual({ count: 0, tasks: [] });
    const first = await queue.enqueue(aTask({ appName: 'first', metadata: { user: 'ada', source: 'api' } }));
    const { journal } = await handler.run(1);
    const second = await queue.enqueue(aTask({ appName: 'second' }));
    await handler.run(2);
    await journal.beginSteps([
      { name: 'plan', type: 'bash' },
      { name: 'apply', type: 'bash' },
    ]);
    await journal.startStep(0);
    await journal.finishStep(0, { status: 'completed' });
    await journal.startStep(1);

    const { count, tasks } = await queue.getActiveTasks();
    const row = await fixture.task(first.taskId);
    expect(count).toBe(2);
    expect(tasks).toEqual([
      {
        id: first.taskId,
        app_name: 'first',
        workflow_name: 'golden-path-deploy-app',
        enqueued_at: row.enqueued_at,
        started_at: row.started_at,
        attempt: 1,
        instance: id,
        current_step: 'apply',
        metadata: { user: 'ada', source: 'api' },
      },
      expect.objectContaining({ id: second.taskId, app_name: 'second', current_step: null }),
    ]);
    gate.release();
    await fixture.becomes(second.taskId, 'completed');
    await fixture.becomes(first.taskId, 'completed');
    expect(await queue.getActiveTasks()).toEqual({ count: 0, tasks: [] });
  });
});

describe('the metrics of a process', () => {
  it('speak of what it did itself', async () => {
    const api = await fixture.startApi();
    const worker = await fixture.start({
      behaviour: async (run) => (run.task.appName === 'bad' ? failure('bad') : { status: 'completed' }),
    });
    const tasks = [aTask(), aTask(), aTask({ appName: 'bad' }), aTask({ appName: 'bad', maxAttempts: 2 })];
    await api.queue.enqueueMany(tasks);
    await until('all have run', () => worker.metrics.snapshot().retrying === 1);
    await worker.close();
    const done = worker.metrics.snapshot();
    expect(done).toMatchObject({ enqueued: 0, started: 4, completed: 2, failed: 1, cancelled: 0, retrying: 1 });
    expect(done).toMatchObject({ lost: 0, handedBack: 0 });
    expect(done.queueTimeMs).toBeGreaterThan(0);
    expect(api.metrics.snapshot()).toMatchObject({ enqueued: 4, started: 0, completed: 0 });
  });

  it('know about how many tasks wait', async () => {
    const gate = fixture.gate();
    const { queue, metrics, handler } = await fixture.start({ workers: 1, behaviour: gate.hold });
    await queue.enqueueMany([aTask(), aTask(), aTask()]);
    await handler.run(1);
    await until('it has looked', () => metrics.queueSize === 2);
    gate.release();
    await until('nothing waits', () => metrics.queueSize === 0);
  });
});
