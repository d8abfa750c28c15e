import { DataSource } from 'typeorm';
import { QueueTaskDecision, QueueTaskEvent, QueueTaskStep } from '../../../src/queue/queue-task-records.entity.js';
import { QueueTask } from '../../../src/queue/queue-task.entity.js';
import { LineStore } from '../../../src/queue/store/line-store.js';
import { WhyService } from '../../../src/tasks/why/why.service.js';
import { aTask, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const ADA = { actor: 'ada' };

afterEach(() => fixture.query('DELETE FROM queue_pauses; DELETE FROM queue_keys;'));

/** Asks as a reader of this process does. */
function asker({ module }: QueueInstance): (taskId: string) => ReturnType<WhyService['why']> {
  const data = module.get(DataSource);
  const repositories = [QueueTask, QueueTaskStep, QueueTaskDecision, QueueTaskEvent].map((entity) =>
    data.getRepository<object>(entity),
  ) as never as [never, never, never, never];
  const service = new WhyService(...repositories, module.get(LineStore));
  return (taskId) => service.why(taskId);
}

/** Runs of the past, that took so many seconds each. */
async function history(seconds: readonly number[], changes: object = {}): Promise<void> {
  const { queue } = await fixture.startApi();
  const past = await queue.enqueueMany(seconds.map(() => aTask(changes)));
  const worker = await fixture.start();
  await fixture.allBecome(
    past.map(({ taskId }) => taskId),
    'completed',
  );
  await worker.close();
  for (const [n, { taskId }] of past.entries()) {
    await fixture.query(
      `UPDATE queue_tasks SET enqueued_at = now() - interval '2 days', started_at = now() - interval '1 day',
         completed_at = now() - interval '1 day' + $2 * interval '1 second' WHERE task_id = $1`,
      [taskId, seconds[n]],
    );
  }
}
const secondsFrom = (now: number, date: Date) => Math.round((date.getTime() - now) / 1_000);

describe('why a task does not run', () => {
  it('nobody is there who could; the place in line is known all the same', async () => {
    const api = await fixture.startApi();
    const why = asker(api);
    await api.queue.enqueueMany([aTask({ priority: 'high' }), aTask({ priority: 'urgent' })]);
    const { taskId } = await api.queue.enqueue(aTask());
    expect(await why(taskId)).toMatchObject({
      task_id: taskId,
      status: 'pending',
      position: 3,
      position_exact: true,
      blocker: { code: 'no_live_worker' },
      running: null,
      expectation: { starts_at: null, ends_at: null, based_on: null, reason: expect.stringContaining('not before') },
      chain: [{ what: 'submitted', by: 'tester' }],
    });
    const drained = await fixture.start({ workers: 1 });
    await fixture.allBecome([taskId], 'completed');
    await fixture.query(`UPDATE queue_instances SET draining = true`);
    await until('it has heard', async () => drained.id !== '');
    const next = await api.queue.enqueue(aTask());
    expect((await why(next.taskId)).blocker).toMatchObject({ code: 'no_live_worker' });
  });

  it('all workers are busy: the start follows from the tasks before it, the workers and past runs', async () => {
    await history([10, 10, 10, 10, 10, 10, 10, 10, 50, 100]);
    const gate = fixture.gate();
    const worker = await fixture.start({ workers: 2, behaviour: gate.hold });
    const why = asker(worker);
    await worker.queue.enqueueMany([aTask(), aTask()]);
    await worker.handler.run(2);
    const waiting = await worker.queue.enqueueMany([aTask(), aTask(), aTask()]);
    const { position, blocker, expectation, summary } = await why(waiting[2]!.taskId);
    const now = Date.now();
    expect(position).toBe(3);
    expect(blocker).toMatchObject({ code: 'all_busy', workers: 2, busy: 2 });
    expect(summary).toBe('All workers are busy: 2 of 2. It is number 3 in line.');
    expect(expectation!.based_on).toEqual({ scope: 'app', runs: 10, p50_ms: 10_000, p90_ms: 50_000 });
    // Three runs must end, of 10 (50) seconds each, on two workers.
    const { starts_at: start, ends_at: end } = expectation!;
    const found = [start!.p50, start!.p90, end!.p50, end!.p90].map((date) => secondsFrom(now, date));
    [15, 75, 25, 125].forEach((seconds, n) => expect(Math.abs(found[n]! - seconds)).toBeLessThanOrEqual(5));
    gate.release();
    await fixture.allBecome(
      waiting.map(({ taskId }) => taskId),
      'completed',
    );
  });

  it.each([
    [{}, 'queue', undefined],
    [{ app_name: 'demo-app' }, 'app', 'demo-app'],
    [{ workflow_name: 'golden-path-deploy-app' }, 'workflow', 'golden-path-deploy-app'],
  ])(
    'a pause %j: by whom, since when and why',
    async ({ app_name = '', workflow_name = '' }: Record<string, string>, scope, name) => {
      const api = await fixture.startApi();
      const { taskId } = await api.queue.enqueue(aTask());
      await fixture.query(
        `INSERT INTO queue_pauses (app_name, workflow_name, paused_by, reason) VALUES ($1, $2, 'ada', 'a migration')`,
        [app_name, workflow_name],
      );
      if (scope !== 'queue') {
        await fixture.query(`WITH r AS (DELETE FROM queue_ready RETURNING id, start_by)
        INSERT INTO queue_blocked (id, reason, start_by) SELECT id, 'paused', start_by FROM r`);
      }
      const { blocker, expectation } = await asker(api)(taskId);
      expect(blocker).toMatchObject({
        code: 'paused',
        scope,
        by: 'ada',
        reason: 'a migration',
        since: expect.any(String),
      });
      expect(blocker!.name).toBe(name);
      expect(expectation).toMatchObject({ starts_at: null, reason: 'not before somebody resumes it' });
      await fixture.query(
        `INSERT INTO queue_pauses (app_name, paused_by) VALUES ('another-app', 'bob') ON CONFLICT DO NOTHING`,
      );
      expect((await asker(api)(taskId)).blocker).toMatchObject({ by: 'ada' });
    },
  );

  it('its concurrency key is held: by whom, and how many wait before it', async () => {
    await history([20, 20, 20, 20, 20]);
    const gate = fixture.gate();
    const worker = await fixture.start({ workers: 2, behaviour: gate.hold });
    const holder = await worker.queue.enqueue(aTask());
    await worker.handler.run(1);
    await fixture.query(`UPDATE queue_leases SET concurrency_key = 'shop'; INSERT INTO queue_keys VALUES ('shop', 1)`);
    await worker.module.get(DataSource).query(`SELECT set_config('turnpike.actor', 'test', false)`);
    const api = await fixture.startApi();
    // Both go from the line of the queue to the line of the key before anybody can take them.
    const blocked = await fixture.hand('test');
    const ids: string[] = [];
    for (const n of [1, 2]) {
      const taskId = `task-blocked-${n}`;
      await blocked.query(
        `WITH t AS (INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, concurrency_key, concurrency_limit)
                    VALUES ($1, 'demo-app', 'golden-path-deploy-app', '{}', 'shop', 1) RETURNING id, start_by)
         INSERT INTO queue_blocked (id, reason, start_by, concurrency_key) SELECT id, 'key', start_by, 'shop' FROM t`,
        [taskId],
      );
      ids.push(taskId);
    }
    const { blocker, position, expectation, summary } = await asker(api)(ids[1]!);
    expect(position).toBeNull();
    expect(blocker).toMatchObject({
      code: 'key_held',
      key: 'shop',
      limit: 1,
      held_by: [holder.taskId],
      before_for_key: 1,
    });
    expect(summary).toContain(holder.taskId);
    expect(Math.abs(secondsFrom(Date.now(), expectation!.starts_at!.p50) - 40)).toBeLessThanOrEqual(5);
    for (const taskId of ids) await api.queue.cancel(taskId, ADA);
    gate.release();
    await fixture.becomes(holder.taskId, 'completed');
  });

  it('it is not due yet, or is to be tried again, and why it was not done', async () => {
    const worker = await fixture.start({ behaviour: async () => failure('no route to host') });
    const why = asker(worker);
    const later = await worker.queue.enqueue(aTask({ delaySeconds: 3_600 }));
    const retried = await worker.queue.enqueue(aTask({ maxAttempts: 3 }));
    const { run_at } = await fixture.becomes(retried.taskId, 'retrying');
    const row = await fixture.task(later.taskId);
    const delayed = await why(later.taskId);
    expect(delayed).toMatchObject({ position: null, blocker: { code: 'due_at', run_at: row.run_at } });
    expect(delayed.expectation!.starts_at).toEqual({ p50: row.run_at, p90: row.run_at });
    const again = await why(retried.taskId);
    expect(again.blocker).toMatchObject({
      code: 'due_at',
      run_at,
      message: expect.stringContaining('no route to host'),
    });
    expect(again.chain.map(({ what }) => what)).toEqual(['attempt_failed', 'submitted']);
  });

  it('people must decide: who, and since when', async () => {
    const worker = await fixture.start({
      behaviour: async ({ journal }) => {
        await journal.beginSteps([{ name: 'ask', type: 'approval' }]);
        await journal.waitStep(
          0,
          { count: 2, approvers: ['bob', 'eve'], notSubmitter: false, default: 'reject' },
          3_600,
        );
        return { status: 'waiting', seconds: 3_600, seenDecisions: 0 };
      },
    });
    const { taskId } = await worker.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    await worker.queue.decide(taskId, { step: 'ask', decision: 'approve' }, { actor: 'bob' }, () => undefined);
    const [step] = await fixture.query('SELECT started_at, deadline FROM queue_task_steps WHERE task_id = $1', [
      taskId,
    ]);
    const { blocker, expectation } = await asker(worker)(taskId);
    expect(blocker).toMatchObject({
      ...{ code: 'waiting_for_approval', step: 'ask', approvers: ['bob', 'eve'], approvals: 1, approvals_needed: 2 },
      ...{ since: step!.started_at, deadline: step!.deadline },
    });
    expect(expectation).toMatchObject({ starts_at: null, reason: 'not before somebody decides' });
  });

  it('one that was taken ahead waits for a worker of that instance', async () => {
    const gate = fixture.gate();
    const worker = await fixture.start({ workers: 1, prefetch: 10, behaviour: gate.hold });
    const tasks = await worker.queue.enqueueMany([aTask(), aTask(), aTask()]);
    await worker.handler.run(1);
    const last = tasks[2]!.taskId;
    await until('it is taken', async () => (await fixture.query('SELECT FROM queue_leases')).length === 3);
    expect((await asker(worker)(last)).blocker).toMatchObject({ code: 'taken', instance: worker.id });
    gate.release();
    await fixture.allBecome(
      tasks.map(({ taskId }) => taskId),
      'completed',
    );
  });
});

describe('a task that runs', () => {
  it('has its step and its likely end, by runs that took longer than it has so far', async () => {
    await history([10, 20, 30, 40, 60, 1_000]);
    const gate = fixture.gate();
    const worker = await fixture.start({ behaviour: gate.hold });
    const { taskId } = await worker.queue.enqueue(aTask());
    const { journal } = await worker.handler.run(1);
    await journal.beginSteps([{ name: 'apply', type: 'bash' }]);
    void journal.startStep(0);
    await journal.flush();
    await fixture.query(`UPDATE queue_tasks SET started_at = now() - interval '35 s' WHERE task_id = $1`, [taskId]);
    const { running, blocker, expectation, summary } = await asker(worker)(taskId);
    expect(blocker).toBeNull();
    expect(running).toMatchObject({ step: 'apply', attempt: 1, instance: worker.id });
    expect(running!.elapsed_ms).toBeGreaterThanOrEqual(35_000);
    expect(summary).toContain(`step 'apply'`);
    const started = (await fixture.task(taskId)).started_at as Date;
    expect(secondsFrom(started.getTime(), expectation!.ends_at!.p50)).toBe(60);
    expect(secondsFrom(started.getTime(), expectation!.ends_at!.p90)).toBe(1_000);
    gate.release();
    await fixture.becomes(taskId, 'completed');
  });
});

describe('a task that has ended', () => {
  it('tells of its failed step, of the attempts before, and of those that were lost', async () => {
    const gate = fixture.gate();
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask({ maxAttempts: 2 }));
    const first = await fixture.start({ behaviour: gate.holdDeaf });
    await first.handler.run(1);
    await fixture.query(`DELETE FROM queue_instances`);
    const second = await fixture.start({
      behaviour: async ({ journal }) => {
        await journal.beginSteps([{ name: 'apply', type: 'bash' }]);
        void journal.startStep(0);
        await journal.finishStep(0, {
          status: 'failed',
          exitCode: 7,
          cause: 'step_failed',
          errorMessage: 'no space left',
        });
        return failure(`step 'apply' ended with exit code 7`);
      },
    });
    await fixture.becomes(taskId, 'retrying');
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    await fixture.becomes(taskId, 'failed');
    gate.release();
    const { summary, chain, blocker, expectation } = await asker(second)(taskId);
    expect([blocker, expectation]).toEqual([null, null]);
    expect(summary).toBe(`Failed at attempt 3 with cause step_failed: step 'apply' ended with exit code 7.`);
    expect(chain.map(({ what }) => what)).toEqual([
      'failed',
      'step_failed',
      'attempt_failed',
      'step_failed',
      'lost',
      'submitted',
    ]);
    expect(chain[1]).toMatchObject({ message: `step 'apply' ended with exit code 7: no space left`, attempt: 3 });
  });

  it('tells who cancelled it, and why', async () => {
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask());
    await api.queue.cancel(taskId, ADA, 'the wrong branch');
    const { summary, chain } = await asker(api)(taskId);
    expect(summary).toBe('Cancelled by ada: the wrong branch.');
    expect(chain[0]).toMatchObject({
      what: 'cancelled',
      by: 'ada',
      message: expect.stringContaining('the wrong branch'),
    });
  });
});

describe('a task that nobody knows', () => {
  it('is a 404', async () => {
    await expect(asker(await fixture.startApi())('task-none')).rejects.toMatchObject({ code: 'task_not_found' });
  });
});

describe('the history', () => {
  it('is found behind a line of any length, and that of an application with few runs is that of the workflow', async () => {
    await history([5, 5, 5, 5, 5, 5], { appName: 'old-app' });
    const api = await fixture.startApi();
    await api.queue.enqueueMany(Array.from({ length: 700 }, () => aTask({ appName: 'new-app' })));
    const line = api.module.get(LineStore);
    const lined = { id: '0', appName: 'new-app', workflowName: 'golden-path-deploy-app' };
    expect(await line.history(lined)).toEqual({ scope: 'workflow', durations: Array(6).fill(5_000) });
    expect(await line.history({ ...lined, appName: 'old-app' })).toMatchObject({ scope: 'app' });
    expect(await line.paceOfQueue()).toHaveLength(6);
    expect(await line.history({ ...lined, workflowName: 'unknown' })).toEqual({ scope: 'workflow', durations: [] });
    const [last] = await fixture.query(
      'SELECT task_id FROM queue_tasks JOIN queue_ready r USING (id) ORDER BY r.start_by DESC, id DESC LIMIT 1',
    );
    expect(await asker(api)(last!.task_id)).toMatchObject({ position: 700, position_exact: true });
  });
});
