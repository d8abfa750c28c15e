import type { TaskRun } from '../../../src/queue/task-handler.js';
import {
  abortion,
  aTask,
  failure,
  SteeredHandler,
  type Behaviour,
  type QueueInstance,
} from '../../support/queue-harness.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const ada = { actor: 'ada', requestId: 'req-cancel' };
const ended = (reason = 'wrong cluster', cause = 'cancelled') => ({
  status: 'cancelled',
  cause,
  error_message: reason,
});

/** A handler whose tasks have something to clean up; each run begins a step. */
function cleaning(behaviour: Behaviour): SteeredHandler {
  const handler = new SteeredHandler(async (run) => {
    await run.journal.beginSteps([{ name: 'deploy', type: 'any' }]);
    await run.journal.startStep(0);
    return behaviour(run);
  });
  handler.cleans = true;
  return handler;
}

/** The signal that ends a run's cleaning up, once it is aborted: its reason. */
function cleanUpEnds(run: TaskRun): Promise<unknown> {
  const signal = run.cleanUp();
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });
}

const fails: Behaviour = async () => failure('flaky');

/** A task that has run a step, and whose next attempt is an hour away. */
async function retrying({ queue }: QueueInstance, changes: Row = {}): Promise<string> {
  const { taskId } = await queue.enqueue(aTask({ maxAttempts: 5, ...changes }));
  await fixture.becomes(taskId, 'retrying');
  await fixture.query(`UPDATE queue_scheduled SET run_at = now() + interval '1 hour'`);
  return taskId;
}

describe('the cancel of a task that waits and has run steps', () => {
  it('lets it clean up first: it goes back to pending with a mark, and is cancelled when that is done', async () => {
    const handler = cleaning(fails);
    const instance = await fixture.start({ handler });
    const taskId = await retrying(instance);
    const gate = fixture.gate();
    handler.behaviour = gate.holdDeaf;
    expect(await instance.queue.cancel(taskId, ada, 'wrong cluster')).toBe('pending');
    const run = await handler.run(2);
    expect(run.task.cancelling).toEqual({ cause: 'cancelled', reason: 'wrong cluster' });
    expect(run.cleanUp().aborted).toBe(false);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'running', cancelling: { reason: 'wrong cluster' } });
    gate.release(failure('cleaning up failed'));
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({ ...ended(), failures: 1, attempt: 2 });
    expect(await fixture.way(taskId)).toBe('pending running retrying pending running cancelled');
    expect(await fixture.events(taskId, 'operator')).toMatchObject([
      { actor: 'ada', cause: 'cancel_requested', detail: { reason: 'wrong cluster' }, request_id: 'req-cancel' },
    ]);
  });

  it('is at once where none has run yet, or nothing is to be cleaned up', async () => {
    const { queue, handler } = await fixture.start({ behaviour: fails });
    handler.cleans = true;
    const first = await queue.enqueue(aTask({ delaySeconds: 60 }));
    expect(await queue.cancel(first.taskId, ada)).toBe('cancelled');
    const other = await fixture.start({ handler: cleaning(fails) });
    const taskId = await retrying(other);
    other.handler.cleans = handler.cleans = false;
    expect(await queue.cancel(taskId, ada)).toBe('cancelled');
  });

  it('is at once the second time', async () => {
    const instance = await fixture.start({ handler: cleaning(fails) });
    const taskId = await retrying(instance);
    await instance.close();
    const { queue } = await fixture.start({ handler: instance.handler, workers: 0 });
    expect(await queue.cancel(taskId, ada, 'first')).toBe('pending');
    expect(await queue.cancel(taskId, ada, 'now', { cause: 'superseded' })).toBe('cancelled');
    expect(await fixture.task(taskId)).toMatchObject(ended('now', 'superseded'));
  });

  it('forgets the mark when it is sent through the queue again', async () => {
    const handler = cleaning(fails);
    const instance = await fixture.start({ handler });
    const taskId = await retrying(instance);
    await instance.queue.cancel(taskId, ada);
    await fixture.becomes(taskId, 'cancelled');
    handler.behaviour = async () => ({ status: 'completed' });
    await instance.queue.retry(taskId, ada);
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ cancelling: null });
    expect(handler.runs.at(-1)!.task.cancelling).toBeNull();
  });
});

describe('a run that is cancelled', () => {
  it('has its time for cleaning up, and no more', async () => {
    let why: unknown;
    const handler = cleaning(async (run) => {
      await abortion(run);
      why = await cleanUpEnds(run);
      return { status: 'aborted' };
    });
    const { queue } = await fixture.start({ handler, cleanupSeconds: 0.05 });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    expect(await queue.cancel(taskId, ada, 'wrong cluster')).toBe('running');
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended());
    expect(why).toBe('cleanup_timeout');
  });

  it('stops cleaning up when somebody cancels again', async () => {
    let why: unknown;
    const handler = cleaning(async (run) => {
      await abortion(run);
      why = await cleanUpEnds(run);
      return { status: 'aborted' };
    });
    const { queue } = await fixture.start({ handler });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    await queue.cancel(taskId, ada, 'first');
    await abortion(run);
    expect(await queue.cancel(taskId, ada, 'at once')).toBe('running');
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended('at once'));
    expect(why).toBe('cancelled');
  });

  it('goes on with it elsewhere when its instance drains', async () => {
    const handler = cleaning(async (run) => {
      await abortion(run);
      await cleanUpEnds(run);
      return { status: 'aborted' };
    });
    const leaving = await fixture.start({ handler });
    const { taskId } = await leaving.queue.enqueue(aTask());
    const run = await handler.run(1);
    await leaving.queue.cancel(taskId, ada, 'wrong cluster');
    await abortion(run);
    await leaving.closeNow();
    expect(await fixture.task(taskId)).toMatchObject({ status: 'pending', crashes: 0, failures: 0 });
    const next = await fixture.start();
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended());
    expect((await next.handler.run(1)).task.cancelling).toEqual({ cause: 'cancelled', reason: 'wrong cluster' });
  });

  it('cleans up elsewhere when its instance dies, until the crashes are spent', async () => {
    const handler = cleaning(async (run) => {
      await cleanUpEnds(run);
      return { status: 'aborted' };
    });
    const first = await fixture.start({ handler, leaseSeconds: 60, maxCrashes: 2 });
    const { taskId } = await first.queue.enqueue(aTask());
    const run = await handler.run(1);
    await first.queue.cancel(taskId, ada, 'wrong cluster');
    await abortion(run); // the heartbeat that has told it is over: the next is 20 s away
    await fixture.expire(first.id);
    const second = await fixture.start({ handler, leaseSeconds: 60, maxCrashes: 2 });
    expect((await handler.run(2)).task.cancelling).toEqual({ cause: 'cancelled', reason: 'wrong cluster' });
    expect(await fixture.task(taskId)).toMatchObject({ crashes: 1 });
    await fixture.expire(second.id);
    await fixture.start({ workers: 1, maxCrashes: 2 });
    const row = await fixture.becomes(taskId, 'cancelled');
    expect(row).toMatchObject({ cause: 'cancelled', crashes: 2 });
    expect(row.error_message).toBe('wrong cluster (it did not finish cleaning up: given up after 2 crashes)');
  });

  it('is over with its instance where nothing had run', async () => {
    const dying = await fixture.start({ behaviour: fixture.gate().holdDeaf, leaseSeconds: 60 });
    dying.handler.cleans = true;
    const { taskId } = await dying.queue.enqueue(aTask());
    const run = await dying.handler.run(1);
    await dying.queue.cancel(taskId, ada, 'wrong cluster');
    await abortion(run);
    await fixture.expire(dying.id);
    await fixture.start();
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended());
  });

  it('has what it waits for closed, and is woken no more', async () => {
    const handler = new SteeredHandler(async (run) => {
      await run.journal.beginSteps([
        { name: 'deploy', type: 'any' },
        { name: 'ask', type: 'any' },
      ]);
      await run.journal.startStep(0);
      await run.journal.finishStep(0, { status: 'completed' });
      await run.journal.waitStep(1, {}, null);
      return { status: 'waiting', seconds: null, seenDecisions: 0 };
    });
    handler.cleans = true;
    const waiting = await fixture.start({ handler });
    const { taskId } = await waiting.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    await waiting.close();
    const { queue } = await fixture.start({ handler, workers: 0 });
    expect(await queue.cancel(taskId, ada)).toBe('pending');
    const decision = { step: 'ask', decision: 'approve' } as const;
    expect(await queue.decide(taskId, decision, ada, () => 'approved')).toBe(false);
    const steps = 'SELECT status FROM queue_task_steps WHERE task_id = $1 ORDER BY position';
    expect(await fixture.query(steps, [taskId])).toEqual([{ status: 'completed' }, { status: 'cancelled' }]);
  });
});

describe('the cleaning up of a task that is held back', () => {
  const inLine = () => fixture.query('SELECT reason FROM queue_blocked');

  it('waits for the end of a pause', async () => {
    const handler = cleaning(fails);
    const instance = await fixture.start({ handler });
    const taskId = await retrying(instance);
    await instance.queue.pause({ appName: 'demo-app' }, ada);
    expect(await instance.queue.cancel(taskId, ada, 'wrong cluster')).toBe('pending');
    expect(await inLine()).toEqual([{ reason: 'paused' }]);
    expect(handler.runs).toHaveLength(1);
    await instance.queue.resume({ appName: 'demo-app' }, ada);
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended());
    expect((await handler.run(2)).task.cancelling).toEqual({ cause: 'cancelled', reason: 'wrong cluster' });
  });

  it('is done without during a pause when somebody cancels again', async () => {
    const handler = cleaning(fails);
    const instance = await fixture.start({ handler });
    const taskId = await retrying(instance);
    await instance.queue.pause({ appName: 'demo-app' }, ada);
    await instance.queue.cancel(taskId, ada, 'wrong cluster');
    expect(await instance.queue.cancel(taskId, ada, 'at once')).toBe('cancelled');
    expect(await fixture.task(taskId)).toMatchObject(ended('at once'));
    expect(await inLine()).toEqual([]);
    expect(handler.runs).toHaveLength(1);
  });

  it('waits for a slot of its key, as everything of the key does', async () => {
    const handler = cleaning(fails);
    const instance = await fixture.start({ handler });
    const concurrency = { key: 'app' };
    const taskId = await retrying(instance, { concurrency });
    const gate = fixture.gate();
    handler.behaviour = gate.hold;
    const other = await instance.queue.enqueue(aTask({ concurrency }));
    await handler.run(2);
    expect(await instance.queue.cancel(taskId, ada, 'wrong cluster')).toBe('pending');
    expect(await inLine()).toEqual([{ reason: 'key' }]);
    gate.release();
    await fixture.becomes(other.taskId, 'completed');
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(ended());
    expect((await handler.run(3)).task).toMatchObject({ taskId, cancelling: { cause: 'cancelled' } });
  });
});

describe("a task's timeout", () => {
  it('leaves time for cleaning up too, and the handler says when the task is tried again', async () => {
    let cleaned = false;
    const handler = cleaning(async (run) => {
      await abortion(run);
      cleaned = !run.cleanUp().aborted;
      return { status: 'aborted', retryInSeconds: 3_600 };
    });
    const { queue } = await fixture.start({ handler });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2, timeoutSeconds: 0.05 }));
    const row = await fixture.becomes(taskId, 'retrying');
    expect(row).toMatchObject({ cause: 'timeout', failures: 1 });
    expect(row.run_at.getTime() - row.updated_at.getTime()).toBeGreaterThan(3_500_000);
    expect(cleaned).toBe(true);
    await until('the timer of the run is gone', () => handler.runs.length === 1);
  });

  it('is final where the handler says that another try does not help', async () => {
    const handler = cleaning(async (run) => {
      await abortion(run);
      return { status: 'aborted', retryable: false };
    });
    const { queue } = await fixture.start({ handler });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2, timeoutSeconds: 0.05 }));
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ cause: 'timeout' });
  });
});
