import { aTask, completes, failure, untilAborted } from '../../support/queue-harness.js';
import { until } from '../../support/until.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const deadLetters = () => fixture.query('SELECT id, finished_at, cause, discarded_at FROM queue_dead_letters');

describe('a failed run', () => {
  it('fails its task for good, with cause and message, and leaves a dead letter', async () => {
    const { queue, id } = await fixture.start({ behaviour: async () => failure('step deploy: exit code 3') });
    const { taskId } = await queue.enqueue(aTask());
    const row = await fixture.becomes(taskId, 'failed');
    expect(row).toMatchObject({
      cause: 'step_failed',
      error_message: 'step deploy: exit code 3',
      failures: 1,
      attempt: 1,
      crashes: 0,
      instance: id,
    });
    expect(await deadLetters()).toEqual([
      { id: row.id, finished_at: row.completed_at, cause: 'step_failed', discarded_at: null },
    ]);
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({
      from_status: 'running',
      to_status: 'failed',
      cause: 'step_failed',
      detail: { error_message: 'step deploy: exit code 3' },
    });
  });

  it('may be a handler that throws', async () => {
    const { queue } = await fixture.start({
      behaviour: async () => {
        throw new Error('out of luck');
      },
    });
    const { taskId } = await queue.enqueue(aTask());
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({
      cause: 'step_failed',
      error_message: 'out of luck',
    });
  });

  it('may be a handler that gives up without being asked to', async () => {
    const { queue } = await fixture.start({ behaviour: async () => ({ status: 'aborted' }) });
    const { taskId } = await queue.enqueue(aTask());
    const row = await fixture.becomes(taskId, 'failed');
    expect(row.error_message).toBe('the handler gave the run up without being asked to');
  });

  it('is not tried again where another try cannot help', async () => {
    const { queue } = await fixture.start({
      behaviour: async () => ({ ...failure('no such golden path'), retryable: false, result: { hint: 'x' } }),
    });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 5 }));
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ failures: 1, result: { hint: 'x' } });
  });
});

describe('a task with attempts left', () => {
  it('waits for its next attempt, runs when that is due, and can still complete', async () => {
    const { queue, handler } = await fixture.start({ behaviour: async () => failure('flaky') });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    const waiting = await fixture.becomes(taskId, 'retrying');
    expect(waiting).toMatchObject({ failures: 1, attempt: 1, error_message: 'flaky', completed_at: null });
    expect(waiting.run_at - waiting.updated_at).toBeGreaterThanOrEqual(0);
    expect(waiting.run_at - waiting.updated_at).toBeLessThanOrEqual(5_000);
    expect(await deadLetters()).toEqual([]);

    handler.behaviour = completes;
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    const { task } = await handler.run(2);
    expect(task).toMatchObject({ taskId, attempt: 2, failures: 1, maxAttempts: 3 });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ failures: 1, cause: null, error_message: null });
    expect(await fixture.way(taskId)).toBe('pending running retrying pending running completed');
  });

  it('fails when they are spent', async () => {
    const { queue } = await fixture.start({ behaviour: async (run) => failure(`no ${run.task.attempt}`) });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    for (const failures of [1, 2]) {
      expect(await fixture.becomes(taskId, 'retrying')).toMatchObject({ failures });
      await fixture.query('UPDATE queue_scheduled SET run_at = now()');
      while ((await fixture.task(taskId)).attempt === failures) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ failures: 3, attempt: 3, error_message: 'no 3' });
    expect(await fixture.way(taskId)).toBe('pending running retrying pending running retrying pending running failed');
    expect(await deadLetters()).toHaveLength(1);
  });
});

describe('many tasks that fail at once', () => {
  it('have their retries spread over the whole time of the backoff', async () => {
    const { queue } = await fixture.start({ workers: 100, prefetch: 500, behaviour: async () => failure('down') });
    const all = 10_000;
    await queue.pause({ appName: 'demo-app' }, { actor: 'ada' });
    await queue.enqueueMany(Array.from({ length: all }, () => aTask({ maxAttempts: 10 })));
    // Theirs will be the seventh failure, after which a task waits for up to 320 s.
    await fixture.query('UPDATE queue_tasks SET failures = 6');
    await queue.resume({ appName: 'demo-app' }, { actor: 'ada' });
    const unfailed = 'SELECT FROM queue_tasks WHERE failures = 6';
    await until('all have failed', async () => (await fixture.query(unfailed)).length === 0, { timeoutMs: 40_000 });
    // What is due already was of the first tenth.
    const spread = await fixture.query(`
      SELECT CASE WHEN failures > 7 OR status <> 'retrying' THEN 1
                  ELSE greatest(1, width_bucket(extract(epoch FROM run_at - updated_at)::float8, 0, 320, 10)) END AS tenth,
             count(*)::int AS tasks
      FROM queue_tasks GROUP BY 1 ORDER BY 1`);
    expect(spread.map(({ tenth }) => tenth)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // A thousand each; chance alone puts none ten standard deviations away from that.
    for (const { tasks } of spread) expect(Math.abs(tasks - all / 10)).toBeLessThan(300);
  });
});

describe('an outcome that the database cannot store', () => {
  const NUL = String.fromCharCode(0);

  it('keeps the words of a failure that hold what jsonb cannot', async () => {
    const { queue } = await fixture.start({ behaviour: async () => failure(`exit${NUL}code \ud800 3`) });
    const { taskId } = await queue.enqueue(aTask());
    expect((await fixture.becomes(taskId, 'failed')).error_message).toBe('exit\ufffdcode \ufffd 3');
  });

  it.each([
    ['a NUL', { text: NUL }],
    ['half of a surrogate pair', { text: '\udc00' }],
    ['no JSON', { big: 1n }],
  ])('fails its own task and no other of its statement: %s', async (_, result) => {
    const { queue, handler } = await fixture.start({
      workers: 9,
      behaviour: async (run) => ({ status: 'completed', result: run.task.appName === 'bad' ? result : {} }),
    });
    const apps = ['a', 'b', 'bad', 'c', 'd', 'e'];
    const ids = (await queue.enqueueMany(apps.map((appName) => aTask({ appName })))).map(({ taskId }) => taskId);
    const [bad] = ids.splice(2, 1);
    await fixture.allBecome(ids, 'completed');
    const row = await fixture.becomes(bad!, 'failed');
    expect(row).toMatchObject({ cause: 'step_failed', result: null, attempt: 1 });
    expect(row.error_message).toMatch(/^the outcome of the run could not be stored: /);
    expect(handler.runs).toHaveLength(6);
  });
});

it('a lone failure does not stop the others', async () => {
  const { queue, handler } = await fixture.start({
    workers: 2,
    behaviour: (run) => (run.task.appName === 'bad' ? Promise.reject(new Error('bad')) : completes(run)),
  });
  const tasks = Array.from({ length: 20 }, (_, n) => aTask({ appName: n % 5 === 0 ? 'bad' : 'good' }));
  await queue.enqueueMany(tasks);
  await handler.run(20);
  await queue.drain();
  const { tasks_completed, tasks_failed } = await queue.getStats();
  expect({ tasks_completed, tasks_failed }).toEqual({ tasks_completed: 16, tasks_failed: 4 });
});

it('a run that is told to stop when its task has timed out and been cancelled ends as cancelled', async () => {
  const { queue, handler } = await fixture.start({ behaviour: untilAborted });
  const { taskId } = await queue.enqueue(aTask({ timeoutSeconds: 0.3 }));
  await handler.run(1);
  await queue.cancel(taskId, { actor: 'ada' }, 'enough');
  expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ cause: 'cancelled', error_message: 'enough' });
});

it('a run that fails before it hears of the cancel counts no failure: the task is cancelled', async () => {
  const gate = fixture.gate();
  const { queue, handler, store } = await fixture.start({ behaviour: gate.hold, leaseSeconds: 60 });
  const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
  const { task } = await handler.run(1);
  await store.requestCancel(task.id, { actor: 'ada' }, 'enough');
  gate.release(failure('no'));
  expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ error_message: 'enough', failures: 0 });
});
