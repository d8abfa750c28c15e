import { abortion, aTask, completes, failure, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();

describe('a task', () => {
  it('is handed to the handler as it was enqueued, and completed', async () => {
    const { queue, handler, id } = await fixture.start();
    const { taskId } = await queue.enqueue(
      aTask({ workflowSpec: { steps: [1] }, maxAttempts: 2, timeoutSeconds: 9, requestId: 'req-1' }),
    );
    const { task } = await handler.run(1);
    expect(task).toMatchObject({
      taskId,
      attempt: 1,
      failures: 0,
      maxAttempts: 2,
      appName: 'demo-app',
      workflowName: 'golden-path-deploy-app',
      workflowSpec: { steps: [1] },
      metadata: { user: 'tester' },
      timeoutSeconds: 9,
      requestId: 'req-1',
    });
    expect(task.queueTimeMs).toBeGreaterThan(0);
    const row = await fixture.becomes(taskId, 'completed');
    expect(row).toMatchObject({ attempt: 1, failures: 0, crashes: 0, cause: null, error_message: null, instance: id });
    expect(row.started_at.getTime()).toBeGreaterThanOrEqual(row.enqueued_at.getTime());
    expect(row.completed_at.getTime()).toBeGreaterThanOrEqual(row.started_at.getTime());
    expect(await fixture.events(taskId)).toMatchObject([
      { from_status: null, to_status: 'pending', actor: 'tester', request_id: 'req-1' },
      { from_status: 'pending', to_status: 'running', attempt: 1, actor: `worker:${id}`, request_id: 'req-1' },
      { from_status: 'running', to_status: 'completed', attempt: 1, actor: `worker:${id}`, request_id: 'req-1' },
    ]);
  });

  it('keeps the result of its handler', async () => {
    const result = { outputs: { url: 'https://demo.example', 'ünïcode 🚦': [1, null] } };
    const { queue } = await fixture.start({ behaviour: async () => ({ status: 'completed', result }) });
    const { taskId } = await queue.enqueue(aTask());
    expect((await fixture.becomes(taskId, 'completed')).result).toEqual(result);
  });

  it('waits for its time, and runs when that has come', async () => {
    const { queue, handler } = await fixture.start();
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 3_600 }));
    await queue.enqueue(aTask({ appName: 'at once' }));
    await handler.run(1);
    expect((await fixture.task(taskId)).status).toBe('scheduled');
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    expect((await handler.run(2)).task.taskId).toBe(taskId);
    await fixture.becomes(taskId, 'completed');
    expect((await fixture.events(taskId))[1]).toMatchObject({ to_status: 'pending', cause: 'due' });
  });

  it('that is due within the poll interval does not wait for the next poll', async () => {
    const { queue } = await fixture.start({ pollSeconds: 30, leaseSeconds: 30 });
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 0.3 }));
    const row = await fixture.becomes(taskId, 'completed');
    expect(row.started_at - row.run_at).toBeGreaterThanOrEqual(0);
    expect(row.started_at - row.run_at).toBeLessThan(10_000);
  });
});

describe('claims', () => {
  it('go by the promised start', async () => {
    const { queue } = await fixture.startApi();
    await queue.enqueue(aTask({ appName: '5 low', priority: 'low' }));
    await queue.enqueue(aTask({ appName: '4 medium', priority: 'medium' }));
    await queue.enqueue(aTask({ appName: '3 high', priority: 'high' }));
    await queue.enqueue(aTask({ appName: '2 low, but within 5 s', priority: 'low', startWithinSeconds: 5 }));
    await queue.enqueue(aTask({ appName: '1 urgent', priority: 'urgent' }));
    const { handler } = await fixture.start({ workers: 1 });
    await handler.run(5);
    const order = handler.runs.map(({ task }) => task.appName);
    expect(order).toEqual([...order].sort());
  });

  it('let nothing starve: an old low goes before a fresh high', async () => {
    const { queue } = await fixture.startApi();
    const old = await queue.enqueue(aTask({ appName: '1 old low', priority: 'low' }));
    await fixture.query(
      `WITH t AS (UPDATE queue_tasks SET start_by = start_by - interval '1 hour', run_at = run_at - interval '1 hour'
                  WHERE task_id = $1 RETURNING id, start_by)
       UPDATE queue_ready r SET start_by = t.start_by FROM t WHERE r.id = t.id`,
      [old.taskId],
    );
    await queue.enqueueMany([
      aTask({ appName: '2 high', priority: 'high' }),
      aTask({ appName: '3 low', priority: 'low' }),
    ]);
    const { handler } = await fixture.start({ workers: 1 });
    await handler.run(3);
    expect(handler.runs.map(({ task }) => task.appName)).toEqual(['1 old low', '2 high', '3 low']);
  });

  it('fill every worker, and never more', async () => {
    let running = 0;
    let most = 0;
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({
      workers: 3,
      behaviour: async (run) => {
        most = Math.max(most, ++running);
        if (handler.runs.length <= 3) await gate.hold(run);
        running--;
        return { status: 'completed' };
      },
    });
    const ids = (await queue.enqueueMany(Array.from({ length: 12 }, () => aTask()))).map(({ taskId }) => taskId);
    await handler.run(3);
    const { active_tasks, queue_size } = await queue.getStats();
    expect({ active_tasks, queue_size }).toEqual({ active_tasks: 3, queue_size: 9 });
    gate.release();
    await fixture.allBecome(ids, 'completed');
    expect(most).toBe(3);
  });

  it('are woken by the enqueue of another instance, not by the next poll', async () => {
    const { handler } = await fixture.start({ pollSeconds: 30, leaseSeconds: 30 });
    await fixture.listening(1);
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask());
    await handler.run(1);
    const row = await fixture.becomes(taskId, 'completed');
    expect(row.started_at - row.enqueued_at).toBeLessThan(10_000);
  });
});

describe('the timeout of a task', () => {
  it('aborts the run, and the task fails for it', async () => {
    const { queue, handler } = await fixture.start({ behaviour: untilAborted });
    const { taskId } = await queue.enqueue(aTask({ timeoutSeconds: 0.05 }));
    expect(await abortion(await handler.run(1))).toBe('timeout');
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({
      cause: 'timeout',
      error_message: 'the task took longer than its timeout of 0.05 s and was ended',
      failures: 1,
    });
  });

  it('counts as a failure, and is tried again', async () => {
    const { queue, handler } = await fixture.start({ behaviour: untilAborted });
    const { taskId } = await queue.enqueue(aTask({ timeoutSeconds: 0.05, maxAttempts: 2 }));
    expect(await fixture.becomes(taskId, 'retrying')).toMatchObject({ cause: 'timeout', failures: 1 });
    handler.behaviour = completes;
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    await fixture.becomes(taskId, 'completed');
  });

  it('does not fail a run that completes although it was told to stop', async () => {
    const { queue } = await fixture.start({
      behaviour: async (run) => {
        await abortion(run);
        return { status: 'completed' };
      },
    });
    const { taskId } = await queue.enqueue(aTask({ timeoutSeconds: 0.05 }));
    await fixture.becomes(taskId, 'completed');
  });

  it('may be longer than a timer of Node can be', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await fixture.start({ behaviour: gate.hold });
    const { taskId } = await queue.enqueue(aTask({ timeoutSeconds: 2 ** 31 / 1_000 }));
    const run = await handler.run(1);
    const other = await queue.enqueue(aTask({ timeoutSeconds: 0.05 }));
    await fixture.becomes(other.taskId, 'failed');
    expect(run.signal.aborted).toBe(false);
    gate.release(failure('released'));
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ error_message: 'released' });
  });
});
