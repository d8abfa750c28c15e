import { TaskStore } from '../../../src/queue/store/task-store.js';
import { type FinishRow } from '../../../src/queue/store/task-changes.js';
import { aTask, completes, failure, type InstanceOptions } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const TOKEN = '7f0c1f3e-0000-4000-8000-000000000001';

/** Tasks that an instance by the name of `me` has taken ahead, and a store to say what became of them. */
async function takenAhead(count = 1, token = TOKEN) {
  const api = await fixture.startApi();
  const ids = (await api.queue.enqueueMany(Array.from({ length: count }, () => aTask()))).map(({ taskId }) => taskId);
  await fixture.query(`INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
                       VALUES ('me', now() + interval '1 h', 'here', 1, '', 1)`);
  await fixture.query(
    `WITH ready AS (DELETE FROM queue_ready RETURNING id)
     INSERT INTO queue_leases (id, lease_token, instance, prefetched) SELECT id, $1, 'me', true FROM ready`,
    [token],
  );
  const rows = await fixture.query('SELECT id FROM queue_tasks ORDER BY id');
  return { api, ids, keys: rows.map(({ id }) => id as string), store: api.module.get(TaskStore) };
}

const ended = (id: string, changes: Partial<FinishRow> = {}): FinishRow => ({
  id,
  token: TOKEN,
  status: 'completed',
  cause: null,
  error_message: null,
  result: null,
  failed: false,
  retry_seconds: null,
  wait_seconds: null,
  seen_decisions: null,
  begun_seconds_ago: 5,
  ...changes,
});

/** The transactions in which the task changed, in their order, the same one once. */
const transactions = async (taskId: string) => [...new Set((await fixture.events(taskId)).map(({ xid }) => xid))];

describe('the start and the end of a run in one statement', () => {
  it('are two changes to the ledger, each with its time, and to the counters', async () => {
    const { api, ids, keys, store } = await takenAhead();
    const finished = await store.finish([ended(keys[0]!, { result: { ok: true } })], 'worker:me');
    expect(finished).toMatchObject([{ id: keys[0], attempt: 1, status: 'completed' }]);
    expect(Number(finished[0]!.execution_time_ms)).toBeGreaterThanOrEqual(5_000);
    const task = await fixture.task(ids[0]!);
    expect(task).toMatchObject({ status: 'completed', attempt: 1, instance: 'me', result: { ok: true } });
    const [, begun, done] = await fixture.events(ids[0]!);
    expect(begun).toMatchObject({ from_status: 'pending', to_status: 'running', attempt: 1, actor: 'worker:me' });
    expect(done).toMatchObject({ from_status: 'running', to_status: 'completed', attempt: 1, actor: 'worker:me' });
    expect(begun!.at).toEqual(task.started_at);
    expect(done!.at - begun!.at).toBeGreaterThanOrEqual(5_000);
    expect(await transactions(ids[0]!)).toHaveLength(2);
    const [counted] = await fixture.query(
      `SELECT sum(tasks_started)::int AS started, sum(runs_ended)::int AS ended, sum(execution_time_ms) AS ms,
              sum(running)::int AS running FROM queue_counters`,
    );
    expect(counted).toMatchObject({ started: 1, ended: 1, running: 0 });
    expect(counted!.ms).toBeGreaterThanOrEqual(5_000);
    expect(await api.queue.getStats()).toMatchObject({ queue_size: 0, active_tasks: 0, tasks_completed: 1 });
  });

  it.each<[string, Partial<FinishRow>]>([
    ['failed', { status: 'failed', cause: 'step_failed', error_message: 'no', failed: true }],
    ['retrying', { status: 'retrying', cause: 'step_failed', error_message: 'no', failed: true, retry_seconds: 60 }],
    ['cancelled', { status: 'cancelled', cause: 'cancelled', error_message: 'cancelled' }],
  ])('hold for a run that is %s', async (status, outcome) => {
    const { ids, keys, store } = await takenAhead();
    await store.finish([ended(keys[0]!, outcome)], 'worker:me');
    expect(await fixture.way(ids[0]!)).toBe(`pending running ${status}`);
    expect(await fixture.task(ids[0]!)).toMatchObject({
      status,
      attempt: 1,
      failures: outcome.failed ? 1 : 0,
      completed_at: status === 'retrying' ? null : expect.any(Date),
    });
    // Begun five seconds ago by its own word; not counted from the time of a retry to come.
    const [counted] = await fixture.query('SELECT sum(queue_time_ms)::double precision AS ms FROM queue_counters');
    expect(counted!.ms).toBeGreaterThan(-6_000);
    const [, begun, done] = await fixture.events(ids[0]!);
    expect([begun!.cause, begun!.detail]).toEqual([null, null]);
    expect([done!.cause, done!.detail]).toEqual([outcome.cause, { error_message: outcome.error_message }]);
  });

  it('carry out a cancel that was asked for meanwhile, unless the run is done', async () => {
    const { api, ids, keys, store } = await takenAhead(2);
    for (const id of ids) await api.queue.cancel(id, { actor: 'ada' }, 'not needed');
    await store.finish(
      [ended(keys[0]!, { status: 'retrying', failed: true, retry_seconds: 1 }), ended(keys[1]!)],
      'worker:me',
    );
    expect(await fixture.way(ids[0]!)).toBe('pending running cancelled');
    expect(await fixture.task(ids[0]!)).toMatchObject({ cause: 'cancelled', error_message: 'not needed' });
    expect(await fixture.way(ids[1]!)).toBe('pending running completed');
  });

  it('stand beside outcomes of runs whose start is on record, and beside runs that lost their lease', async () => {
    const { ids, keys, store } = await takenAhead(4);
    await store.start([{ id: keys[1]!, token: TOKEN, seconds_ago: 1 }], 'worker:me');
    await fixture.query(`UPDATE queue_leases SET lease_token = gen_random_uuid() WHERE id = $1`, [keys[2]]);
    await fixture.query(
      `WITH signed AS MATERIALIZED (SELECT set_config('turnpike.actor', 'ada', true))
       UPDATE queue_tasks SET status = 'cancelled' FROM signed WHERE id = $1`,
      [keys[3]],
    );
    const outcomes = [0, 1, 2, 3].map((n) => ended(keys[n]!, n === 1 ? { begun_seconds_ago: null } : {}));
    const finished = await store.finish(outcomes, 'worker:me');
    expect(finished.map(({ id }) => id).sort()).toEqual([keys[0], keys[1]]);
    for (const id of ids.slice(0, 2)) expect(await fixture.way(id)).toBe('pending running completed');
    expect((await fixture.task(ids[1]!)).attempt).toBe(1);
    expect(await fixture.way(ids[2]!)).toBe('pending');
    expect(await fixture.way(ids[3]!)).toBe('pending cancelled');
  });

  it('are refused once another instance has taken the task back', async () => {
    const { ids, keys, store } = await takenAhead();
    await fixture.expire('me');
    const other = await fixture.start({ workers: 1, prefetch: 5 });
    await fixture.becomes(ids[0]!, 'completed');
    expect(await store.finish([ended(keys[0]!, { status: 'failed', failed: true })], 'worker:me')).toEqual([]);
    expect(await fixture.task(ids[0]!)).toMatchObject({ status: 'completed', crashes: 0, instance: other.id });
  });

  it('are what handlers get that return at once; others show their start while they run', async () => {
    const shows: InstanceOptions['behaviour'] = async (run) => {
      await fixture.becomes(run.task.taskId, 'running');
      return failure('too late');
    };
    const worker = await fixture.start({ workers: 2, prefetch: 10, behaviour: completes });
    const quick = await worker.queue.enqueueMany([aTask(), aTask(), aTask()]);
    await fixture.allBecome(
      quick.map(({ taskId }) => taskId),
      'completed',
    );
    worker.handler.behaviour = shows;
    const [slow] = await worker.queue.enqueueMany([aTask(), aTask(), aTask()]);
    expect(await fixture.becomes(slow!.taskId, 'failed')).toMatchObject({ error_message: 'too late', attempt: 1 });
    expect(await fixture.way(slow!.taskId)).toBe('pending running failed');
    const all = await fixture.query('SELECT task_id FROM queue_tasks');
    for (const { task_id } of all) {
      await fixture.becomes(task_id as string, quick.some(({ taskId }) => taskId === task_id) ? 'completed' : 'failed');
    }
  });

  const whole = `status = 'completed', attempt = attempt + 1, instance = 'me', started_at = now()`;
  it.each([
    ['without another attempt', `status = 'completed', instance = 'me', started_at = now()`],
    ['without a start', `status = 'completed', attempt = attempt + 1, instance = 'me'`],
    ['without an instance', `status = 'completed', attempt = attempt + 1, started_at = now()`],
    ['two attempts further', whole.replace('+ 1', '+ 2')],
    ['to a state that no run ends in', whole.replace('completed', 'scheduled')],
  ])('are not to be had by hand %s', async (_, changes) => {
    const { ids } = await takenAhead();
    const hand = await fixture.hand('ada');
    const update = hand.query(`UPDATE queue_tasks SET ${changes}`);
    await expect(update).rejects.toMatchObject({
      code: 'TP001',
      hint: 'From "pending" it can go to: cancelled, running.',
    });
    expect(await fixture.way(ids[0]!)).toBe('pending');
  });
});
