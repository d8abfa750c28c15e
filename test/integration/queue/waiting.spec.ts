import type { TaskOutcome, TaskRun } from '../../../src/queue/task-handler.js';
import { brokenInvariants } from '../../support/invariant.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const JANE = { actor: 'jane', requestId: 'request-1' };
const APPROVE = { step: 'ask', decision: 'approve' } as const;
/** One word settles the matter; or none does. */
const settled = (made: readonly unknown[]) => (made.length > 0 ? 'approved' : undefined);
const unsettled = () => undefined;
const STEPS = [
  { name: 'plan', type: 'bash' },
  { name: 'ask', type: 'approval' },
];

/** Parks its first run at the second step; later runs complete. */
function parksOnce(seconds: number | null = null) {
  return async ({ task, journal }: TaskRun): Promise<TaskOutcome> => {
    if (task.attempt > 1) return { status: 'completed' };
    await journal.beginSteps(STEPS);
    await journal.startStep(0);
    await journal.finishStep(0, { status: 'completed', outputs: { sum: '3' }, variables: { A: 'b' }, tries: 2 });
    await journal.waitStep(1, { count: 2 }, seconds);
    return { status: 'waiting', seconds, seenDecisions: 0 };
  };
}

const scheduled = () =>
  fixture.query(`SELECT run_at = 'infinity' AS forever, run_at > now() AS later FROM queue_scheduled`);

describe('a task that waits', () => {
  it('frees its worker, stands among the scheduled, and goes on when it is woken', async () => {
    const { queue } = await fixture.start({ workers: 1, behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask());
    const parked = await fixture.becomes(taskId, 'waiting');
    expect(parked).toMatchObject({ completed_at: null, failures: 0 });
    expect(await scheduled()).toEqual([{ forever: true, later: true }]);
    const { taskId: other } = await queue.enqueue(aTask({ workflowSpec: { attempt: 1 } }));
    await fixture.becomes(other, 'waiting');
    expect(await brokenInvariants(fixture.query)).toEqual([]);

    expect(await queue.decide(taskId, APPROVE, JANE, settled)).toBe(true);
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2, failures: 0 });
    expect(await fixture.way(taskId)).toBe('pending running waiting pending running completed');
    expect((await fixture.events(taskId))[3]).toMatchObject({
      actor: 'jane',
      cause: 'approved',
      request_id: 'request-1',
    });
    expect(await queue.decide(other, { ...APPROVE, step: 'plan' }, JANE, settled)).toBe(false);
    await expect(queue.decide('task-none', APPROVE, JANE, settled)).rejects.toThrow('there is no task');
    expect(await brokenInvariants(fixture.query)).toEqual([]);
  });

  it('keeps its promise from the time it is woken', async () => {
    const { queue } = await fixture.start({ behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask({ startWithinSeconds: 90 }));
    await fixture.becomes(taskId, 'waiting');
    const hand = await fixture.hand('tester');
    await hand.query(
      `UPDATE queue_tasks SET run_at = run_at - interval '1 hour', start_by = start_by - interval '1 hour'`,
    );
    await queue.decide(taskId, APPROVE, JANE, settled);
    const [row] = await fixture.query(
      `SELECT extract(epoch FROM start_by - run_at)::int AS promise, run_at > now() - interval '1 minute' AS now FROM queue_tasks`,
    );
    expect(row).toEqual({ promise: 90, now: true });
  });

  it('goes on by itself when its time is up', async () => {
    const { queue } = await fixture.start({ behaviour: parksOnce(3600) });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    expect(await scheduled()).toEqual([{ forever: false, later: true }]);
    await fixture.query(`UPDATE queue_scheduled SET run_at = now()`);
    await fixture.becomes(taskId, 'completed');
    expect((await fixture.events(taskId))[3]).toMatchObject({ to_status: 'pending', cause: 'due' });
  });

  it('is cancelled at once, and nobody is waited for any more', async () => {
    const { queue } = await fixture.start({ behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    expect(await queue.cancel(taskId, JANE)).toBe('cancelled');
    const steps = await fixture.query('SELECT status, cause FROM queue_task_steps ORDER BY position');
    expect(steps).toEqual([
      { status: 'completed', cause: null },
      { status: 'cancelled', cause: 'cancelled' },
    ]);
    expect(await queue.decide(taskId, APPROVE, JANE, settled)).toBe(false);
    expect(await brokenInvariants(fixture.query)).toEqual([]);
  });
});

describe('the promise of a task that was handed back', () => {
  it('is at least from now on when it is woken', async () => {
    const { queue } = await fixture.start({ behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask({ startWithinSeconds: 60 }));
    await fixture.becomes(taskId, 'waiting');
    const hand = await fixture.hand('tester');
    // As a hand-back after a long run leaves it.
    await hand.query(`UPDATE queue_tasks SET start_by = run_at - interval '3 hours'`);
    await queue.decide(taskId, APPROVE, JANE, settled);
    const [row] = await fixture.query('SELECT start_by >= run_at AS ok FROM queue_tasks');
    expect(row).toEqual({ ok: true });
  });
});

describe('a decision', () => {
  it('is noted once for each actor, in the ledger too, and read by the next run', async () => {
    const { queue, handler } = await fixture.start({ behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    expect(await queue.decide(taskId, { ...APPROVE, comment: 'fine' }, JANE, unsettled)).toBe(true);
    expect(await queue.decide(taskId, { ...APPROVE, decision: 'reject' }, JANE, unsettled)).toBe(false);
    expect(await queue.decide(taskId, { ...APPROVE, step: 'plan' }, JANE, unsettled)).toBe(false);
    expect(await queue.decide(taskId, { ...APPROVE, decision: 'reject' }, { actor: 'joe' }, unsettled)).toBe(true);
    const noted = { attempt: 1, from_status: null, to_status: null };
    expect(await fixture.events(taskId, 'operator')).toMatchObject([
      { ...noted, actor: 'jane', cause: 'approved', detail: { step: 'ask', comment: 'fine' }, request_id: 'request-1' },
      { ...noted, actor: 'joe', cause: 'rejected', detail: { step: 'ask' } },
    ]);
    const stored = await handler.runs[0]!.journal.storedSteps();
    expect(stored).toMatchObject([
      {
        name: 'plan',
        status: 'completed',
        outputs: { sum: '3' },
        variables: { A: 'b' },
        waitsFor: null,
        decisions: [],
      },
      {
        name: 'ask',
        status: 'waiting',
        waitsFor: { count: 2 },
        secondsLeft: null,
        decisions: [
          { decision: 'approve', actor: 'jane', comment: 'fine' },
          { decision: 'reject', actor: 'joe', comment: null },
        ],
      },
    ]);
  });

  it('that comes while the run is on its way to wait is not overlooked', async () => {
    let decided = false;
    const { queue } = await fixture.start({
      behaviour: async (run) => {
        const outcome = await parksOnce()(run);
        // The run has read no decision; this one is made before the task waits.
        if (run.task.attempt === 1) decided = await queue.decide(run.task.taskId, APPROVE, JANE, settled);
        return outcome;
      },
    });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    expect(decided).toBe(true);
    expect(await fixture.way(taskId)).toBe('pending running waiting pending running completed');
    expect(await brokenInvariants(fixture.query)).toEqual([]);
  });

  it('that the run has seen wakes nobody, nor does one on a step that waits no more', async () => {
    const { queue } = await fixture.start({
      behaviour: async (run) => {
        const outcome = await parksOnce()(run);
        const before = { task_id: run.task.taskId, step: 'plan' };
        await fixture.query(
          `INSERT INTO queue_task_decisions (task_id, step, decision, actor) VALUES ($1, $2, 'approve', 'eve')`,
          Object.values(before),
        );
        await queue.decide(run.task.taskId, APPROVE, JANE, unsettled);
        return outcome.status === 'waiting' ? { ...outcome, seenDecisions: 1 } : outcome;
      },
    });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    expect(await fixture.way(taskId)).toBe('pending running waiting');
  });

  it('that could not wake its task does so when it is made again', async () => {
    const { queue } = await fixture.start({ behaviour: parksOnce() });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'waiting');
    await queue.decide(taskId, APPROVE, JANE, unsettled);
    expect(await queue.decide(taskId, APPROVE, JANE, settled)).toBe(false);
    await fixture.becomes(taskId, 'completed');
  });

  it('is never lost between the two who write, whoever comes first', async () => {
    const { queue } = await fixture.start({ workers: 5, behaviour: parksOnce() });
    const tasks = await Promise.all(Array.from({ length: 30 }, () => queue.enqueue(aTask())));
    // From the time the step waits, which is before the task does.
    const decideSoon = async (taskId: string) => {
      await until('the step waits', () => queue.decide(taskId, APPROVE, JANE, settled), { everyMs: 1 });
    };
    await Promise.all(tasks.map(({ taskId }) => decideSoon(taskId)));
    await fixture.allBecome(
      tasks.map(({ taskId }) => taskId),
      'completed',
    );
    expect(await brokenInvariants(fixture.query)).toEqual([]);
  });
});

describe('a run that follows', () => {
  it('keeps steps as they are, at their new places, and drops those that are gone', async () => {
    const { queue } = await fixture.start({
      maxCrashes: 3,
      behaviour: async ({ task, journal }) => {
        if (task.attempt === 1) {
          await journal.beginSteps([...STEPS, { name: 'third', type: 'bash' }]);
          await journal.startStep(0);
          await journal.finishStep(0, { status: 'completed', outputs: { sum: '3' }, tries: 2 });
          return { status: 'failed', cause: 'step_failed', errorMessage: 'no', retryable: true, retryInSeconds: 0 };
        }
        await journal.beginSteps([
          { name: 'new', type: 'bash' },
          { name: 'plan', type: 'bash', keep: true },
        ]);
        return { status: 'completed' };
      },
    });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2 }));
    await fixture.becomes(taskId, 'completed');
    const columns = 'position, name, status, attempt, outputs, tries, started_at IS NOT NULL AS began';
    expect(await fixture.query(`SELECT ${columns} FROM queue_task_steps ORDER BY position`)).toEqual([
      { position: 0, name: 'new', status: 'pending', attempt: 2, outputs: null, tries: 1, began: false },
      { position: 1, name: 'plan', status: 'completed', attempt: 1, outputs: { sum: '3' }, tries: 2, began: true },
    ]);
  });

  it('begins after the time its run asked for', async () => {
    const { queue } = await fixture.start({
      behaviour: async () => ({
        ...{ status: 'failed', cause: 'step_failed', errorMessage: 'no', retryable: true },
        retryInSeconds: 3600,
      }),
    });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 2 }));
    await fixture.becomes(taskId, 'retrying');
    const [row] =
      await fixture.query(`SELECT run_at BETWEEN now() + interval '59 minutes' AND now() + interval '1 hour' AS ok
      FROM queue_tasks`);
    expect(row).toEqual({ ok: true });
  });
});

describe('a redrive', () => {
  async function ended(status: 'completed' | 'failed') {
    const instance = await fixture.start({
      behaviour: async ({ task, journal }) => {
        if (task.attempt === 1) {
          await journal.beginSteps(STEPS);
          await journal.finishStep(0, { status: 'completed', outputs: { sum: '3' } });
          await journal.finishStep(1, { status });
        }
        const failed = { status: 'failed', cause: 'step_failed', errorMessage: 'no', retryable: true } as const;
        return status === 'completed' ? { status } : failed;
      },
    });
    const { taskId } = await instance.queue.enqueue(aTask());
    await fixture.becomes(taskId, status);
    await instance.close();
    const { queue } = await fixture.startApi();
    return { queue, taskId };
  }
  const statuses = async () =>
    (await fixture.query('SELECT status FROM queue_task_steps ORDER BY position')).map((row) => row.status);

  it('of a task that failed leaves its steps as they are', async () => {
    const { queue, taskId } = await ended('failed');
    await queue.retry(taskId, JANE);
    expect(await statuses()).toEqual(['completed', 'failed']);
  });

  it('of a task that completed runs all of it anew', async () => {
    const { queue, taskId } = await ended('completed');
    await queue.retry(taskId, JANE);
    expect(await statuses()).toEqual(['pending', 'pending']);
    expect(await brokenInvariants(fixture.query)).toEqual([]);
  });

  it('runs the named steps anew, with another document, and the ledger has what was changed', async () => {
    const { queue, taskId } = await ended('completed');
    const detail = { from_step: 'ask' };
    await queue.retry(taskId, JANE, { anew: ['ask'], workflowSpec: { corrected: true }, detail });
    expect(await statuses()).toEqual(['completed', 'pending']);
    expect((await fixture.task(taskId)).workflow_spec).toEqual({ corrected: true });
    const events = await fixture.events(taskId);
    expect(events.at(-1)).toMatchObject({ to_status: 'pending', cause: 'redriven', actor: 'jane', detail });
    await until('the invariants hold', async () => (await brokenInvariants(fixture.query)).length === 0);
  });
});
