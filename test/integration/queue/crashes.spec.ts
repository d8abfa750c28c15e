import type { TaskRun } from '../../../src/queue/task-handler.js';
import {
  aTask,
  completes,
  failure,
  type Gate,
  type InstanceOptions,
  type QueueInstance,
} from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const STEPS = [{ name: 'plan', type: 'bash' }];

/** An instance that runs the task, and then is not heard of any more: its next heartbeat is far away. */
async function crashed(taskId: string, before: (instance: QueueInstance) => Promise<void> = async () => undefined) {
  const instance = await fixture.start({ leaseSeconds: 600, pollSeconds: 600, behaviour: fixture.gate().hold });
  const { task } = await instance.handler.run(1);
  expect(task.taskId).toBe(taskId);
  await before(instance);
  await fixture.expire(instance.id);
}

describe('a lost lease', () => {
  it.each([
    ['is a crash where no steps are known', 1, async () => undefined],
    [
      'is a crash where a step of the attempt had started',
      1,
      async ({ handler }: QueueInstance) => {
        const { journal } = await handler.run(1);
        await journal.beginSteps(STEPS);
        await journal.startStep(0);
      },
    ],
    [
      'is none where steps are known and none had started',
      0,
      async ({ handler }: QueueInstance) => (await handler.run(1)).journal.beginSteps(STEPS),
    ],
  ])('%s', async (_, crashes, before) => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, before);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes, failures: 0, attempt: 2 });
  });

  it('is none where only a step of an earlier attempt had started', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, async ({ handler }) => {
      const { journal } = await handler.run(1);
      await journal.beginSteps(STEPS);
      await journal.startStep(0);
    });
    const second = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
    await second.handler.run(1);
    expect((await fixture.task(taskId)).crashes).toBe(1);
    await fixture.expire(second.id);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes: 1, attempt: 3 });
  });

  it('fails the task when it has cost too many, with a dead letter, until it is retried', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 10 }));
    const survivor = await fixture.start({
      workers: 1,
      maxCrashes: 2,
      behaviour: fixture.gate().hold,
      leaseSeconds: 600,
    });
    await survivor.handler.run(1);
    await fixture.expire(survivor.id);
    const rescuer = await fixture.start({
      workers: 1,
      maxCrashes: 2,
      behaviour: fixture.gate().hold,
      leaseSeconds: 600,
    });
    await rescuer.handler.run(1);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'running', crashes: 1, attempt: 2 });
    await fixture.expire(rescuer.id);
    const row = await fixture.becomes(taskId, 'failed');
    expect(row).toMatchObject({ cause: 'crash_loop', crashes: 2, failures: 0, attempt: 2 });
    expect(row.error_message).toBe(`given up after 2 crashes: the instance that ran it (${rescuer.id}) died each time`);
    expect(await fixture.query('SELECT cause FROM queue_dead_letters')).toEqual([{ cause: 'crash_loop' }]);
    expect(await fixture.way(taskId)).toBe('pending running pending running failed');

    await fixture.start({ behaviour: completes });
    await queue.retry(taskId, { actor: 'ada' });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ crashes: 0, attempt: 3 });
  });

  it('carries out a cancel that was asked for', async () => {
    const { queue, store } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    await crashed(taskId, async ({ handler }) => {
      const { task } = await handler.run(1);
      await store.requestCancel(task.id, { actor: 'ada' }, 'wrong cluster');
    });
    await fixture.start();
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject({
      cause: 'cancelled',
      error_message: 'wrong cluster',
      attempt: 1,
    });
    expect(await fixture.query('SELECT FROM queue_dead_letters')).toEqual([]);
  });
});

describe('a task that one more crash would end', () => {
  /** It is due, and has cost two crashes. */
  const lastChance = async ({ queue, store }: QueueInstance, changes = {}) => {
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 3_600, ...changes }));
    await fixture.query('UPDATE queue_tasks SET crashes = 2 WHERE task_id = $1', [taskId]);
    await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    await store.promote(10, 'test');
    return taskId;
  };
  const fresh = async ({ queue }: QueueInstance) => (await queue.enqueue(aTask())).taskId;
  const leasedAhead = () => fixture.query('SELECT FROM queue_leases WHERE prefetched');
  /** An instance on which each task has a gate of its own. */
  const gated = async (options: InstanceOptions = {}) => {
    const gates = new Map<string, Gate>();
    const gateOf = (id: string) => gates.get(id) ?? gates.set(id, fixture.gate()).get(id)!;
    const behaviour = (run: TaskRun) => gateOf(run.task.taskId).hold(run);
    const instance = await fixture.start({ workers: 3, leaseSeconds: 600, behaviour, ...options });
    return {
      instance,
      handler: instance.handler,
      gateOf,
      begun: () => instance.handler.runs.map(({ task }) => task.taskId),
    };
  };

  it('waits until an instance has nothing else to run, and has it for itself: the crash is its own', async () => {
    const api = await fixture.startApi();
    const suspect = await lastChance(api);
    const others = [await fresh(api), await fresh(api)];
    const { instance, gateOf, begun } = await gated();
    await instance.handler.run(2);
    others.forEach((id) => gateOf(id).release());
    const { task } = await instance.handler.run(3);
    expect(begun()).toEqual([...others, suspect]);
    expect(task).toMatchObject({ alone: true, attempt: 1 });
    // It ran when the others were on record, and its own start was.
    const [{ at }] = (await fixture.events(suspect)).slice(-1) as [{ at: Date }];
    for (const id of others) expect((await fixture.events(id)).at(-1)!.at <= at).toBe(true);
    const beside = await fresh(api);
    await until('the instance has seen the other', () => instance.metrics.queueSize === 1);
    await fixture.expire(instance.id);
    await fixture.start({ behaviour: completes });
    await fixture.becomes(beside, 'completed');
    expect(await fixture.becomes(suspect, 'failed')).toMatchObject({ cause: 'crash_loop', crashes: 3 });
    expect(await fixture.task(beside)).toMatchObject({ crashes: 0, attempt: 1 });
    expect(begun()).toHaveLength(3);
  });

  it('is taken by a busy instance when its time is over: that begins nothing more until it has run', async () => {
    const api = await fixture.startApi();
    const first = await fresh(api);
    const { instance, gateOf, begun } = await gated();
    await instance.handler.run(1);
    const returned = jest.spyOn(instance.store, 'handBackUnlocked');
    const patient = await lastChance(api);
    await until('it has met one and left it', () => returned.mock.calls.length > 0);
    const urgent = await lastChance(api, { priority: 'urgent' });
    await until('it is taken', async () => (await leasedAhead()).length === 1);
    const later = await fresh(api);
    expect(await fixture.task(urgent)).toMatchObject({ status: 'pending', attempt: 0 });
    expect(begun()).toEqual([first]);
    gateOf(first).release();
    await instance.handler.run(2);
    expect(begun()).toEqual([first, urgent]);
    expect(await fixture.task(later)).toMatchObject({ status: 'pending' });
    for (const id of [urgent, later, patient]) gateOf(id).release();
    await fixture.allBecome([first, urgent, later, patient], 'completed');
  });

  it.each(['claim', 'prefetch'] as const)('is known as such when the answer to a %s is lost', async (verb) => {
    const api = await fixture.startApi();
    await lastChance(api);
    await fresh(api);
    await fixture.query(`INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
                         VALUES ('me', now() + interval '1 h', 'here', 1, '', 2)`);
    const token = '7f0c1f3e-0000-4000-8000-000000000003';
    const tasks = await api.store[verb](5, 'me', token, -Infinity, { aloneFrom: 2 });
    const facts = (found: typeof tasks) => found.map(({ id, attempt, alone }) => ({ id, attempt, alone }));
    expect(facts(tasks).map(({ attempt, alone }) => ({ attempt, alone }))).toEqual([
      { attempt: 1, alone: false },
      { attempt: 1, alone: true },
    ]);
    expect(facts(await api.store.claimedBy(token, { aloneFrom: 2 }))).toEqual(facts(tasks));
    await fixture.query('DELETE FROM queue_instances');
    await fixture.start({ behaviour: completes });
  });

  it.each(['claim', 'prefetch'] as const)('is left in the queue by a %s that goes round it', async (verb) => {
    const api = await fixture.startApi();
    await lastChance(api, { priority: 'urgent' });
    await lastChance(api);
    await fresh(api);
    await fixture.query(`INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
                         VALUES ('me', now() + interval '1 h', 'here', 1, '', 2)`);
    const token = '7f0c1f3e-0000-4000-8000-000000000004';
    const take = async (goRound?: 'early' | 'all') =>
      (await api.store[verb](5, 'me', token, -Infinity, { aloneFrom: 2, goRound })).map(({ alone }) => alone);
    expect(await take('all')).toEqual([false]);
    expect(await take('early')).toEqual([true]);
    expect(await take('early')).toEqual([]);
    expect(await take()).toEqual([true]);
    await fixture.query('DELETE FROM queue_instances');
    await fixture.start({ behaviour: completes });
  });

  it('is taken where tasks are taken ahead, and runs alone too; others are not taken meanwhile', async () => {
    const api = await fixture.startApi();
    const { instance, handler, gateOf, begun } = await gated({ prefetch: 10 });
    const ids = [await fresh(api)];
    await handler.run(1);
    const returned = jest.spyOn(instance.store, 'handBackUnlocked');
    ids.push(await lastChance(api, { priority: 'urgent' }));
    const waiting = () =>
      fixture.query(`SELECT FROM queue_leases JOIN queue_tasks USING (id) WHERE status = 'pending'`);
    // The claim that meets it gives it back; the next one goes for it.
    await until('it has been met', () => returned.mock.calls.length > 0);
    await returned.mock.results[0]!.value;
    await until('it is taken ahead', async () => (await waiting()).length === 1);
    ids.push(await fresh(api));
    await until('the instance has seen the other', () => instance.metrics.queueSize === 2);
    for (const [n, id] of ids.entries()) {
      await handler.run(n + 1);
      expect(begun()).toEqual(ids.slice(0, n + 1));
      gateOf(id).release();
    }
    await fixture.allBecome(ids, 'completed');
  });
});

describe('failures and crashes of one task', () => {
  it('have budgets of their own, in whatever order they come', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    const crashes = async () => {
      const dying = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
      await dying.handler.run(1);
      await fixture.expire(dying.id);
    };
    const fails = async () => {
      const failing = await fixture.start({ behaviour: async () => ({ ...failure('no'), retryInSeconds: 3_600 }) });
      await failing.handler.run(1);
      await failing.close();
      await fixture.query('UPDATE queue_scheduled SET run_at = now()');
    };
    const budgets = async () => {
      const { attempt, failures, crashes } = await fixture.task(taskId);
      return { attempt, failures, crashes };
    };
    await crashes();
    await fails();
    expect(await budgets()).toEqual({ attempt: 2, failures: 1, crashes: 1 });
    await crashes();
    await fails();
    expect(await budgets()).toEqual({ attempt: 4, failures: 2, crashes: 2 });
    const last = await fixture.start({ behaviour: async () => failure('for good') });
    // The third failure spends `max_attempts`, with crashes left; a third crash would have been a `crash_loop`.
    expect(await fixture.becomes(taskId, 'failed')).toMatchObject({ cause: 'step_failed', attempt: 5 });
    expect(await budgets()).toEqual({ attempt: 5, failures: 3, crashes: 2 });
    expect(last.handler.runs).toHaveLength(1);
  });
});

describe('the tasks of an instance whose row is gone', () => {
  it('are rescued all the same', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    const instance = await fixture.start({ leaseSeconds: 600, behaviour: fixture.gate().hold });
    await instance.handler.run(1);
    await fixture.query('DELETE FROM queue_instances WHERE id = $1', [instance.id]);
    await fixture.start({ behaviour: completes });
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 2, crashes: 1 });
  });
});
