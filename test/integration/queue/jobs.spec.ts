import { BulkOperations, JobNotFoundError, JobStateError } from '../../../src/queue/bulk/bulk-operations.js';
import { BulkVerbs } from '../../../src/queue/bulk/bulk-verbs.js';
import { JobStore, type JobStatus } from '../../../src/queue/store/job-store.js';
import { manyFailed } from '../../support/many-failed.js';
import { deferred } from '../../support/queue-doubles.js';
import { aTask, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const ada = { actor: 'ada', requestId: 'req-job' };
const MANY = 1_300;

const operations = ({ module }: QueueInstance) => module.get(BulkOperations);

async function ends(instance: QueueInstance, id: string, status: JobStatus) {
  await until(`job ${id} is ${status}`, async () => (await operations(instance).job(id)).status === status);
  return operations(instance).job(id);
}

const noted = async () =>
  (await fixture.query(`SELECT * FROM queue_task_events WHERE kind = 'operator' AND task_id IS NULL ORDER BY id`)).map(
    ({ cause, actor, request_id, detail }: Row) => ({ cause, actor, request_id, detail }),
  );
const inState = async (status: string) =>
  (await fixture.query('SELECT count(*)::int AS n FROM queue_tasks WHERE status = $1', [status]))[0]!.n as number;

/** Holds this instance's batches after the first; `reached` when the second is asked for. */
function holdSecondBatch({ module }: QueueInstance) {
  const verbs = module.get(BulkVerbs);
  const batch = verbs.batch.bind(verbs);
  const reached = deferred();
  const goOn = deferred();
  let batches = 0;
  jest.spyOn(verbs, 'batch').mockImplementation(async (...args) => {
    if (++batches > 1) {
      reached.resolve();
      await goOn.promise;
    }
    return batch(...args);
  });
  return { reached: reached.promise, goOn: goOn.resolve, fail: goOn.reject };
}

afterEach(() => jest.restoreAllMocks());

describe('a verb on more tasks than a caller waits for', () => {
  it('becomes a job, which is done in batches and in the ledger from beginning to end', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    await manyFailed(fixture.query, 5, 'other');
    const { count, job } = await operations(api).start('redrive', { appName: 'demo-app' }, ada);
    expect({ count, job }).toMatchObject({
      count: MANY,
      job: { kind: 'redrive', status: 'running', total: MANY, done: 0, by: ada, filter: { appName: 'demo-app' } },
    });
    const ended = await ends(api, job!.id, 'completed');
    expect(ended).toMatchObject({ done: MANY, total: MANY, error: null, endedAt: expect.any(Date) });
    expect(await inState('pending')).toBe(MANY);
    expect(await inState('failed')).toBe(5);
    const filter = { app_name: 'demo-app' };
    const by = { actor: 'ada', request_id: 'req-job' };
    expect(await noted()).toEqual([
      { ...by, cause: 'bulk_redrive_started', detail: { job: job!.id, filter, total: MANY } },
      { ...by, cause: 'bulk_redrive_completed', detail: { job: job!.id, filter, total: MANY, count: MANY } },
    ]);
    const [{ task_id }] = (await fixture.query(`SELECT task_id FROM queue_tasks WHERE status = 'pending' LIMIT 1`)) as [
      Row,
    ];
    expect((await fixture.events(task_id)).at(-1)).toMatchObject({ actor: 'ada', detail: { job: job!.id } });
  });

  it('discards them', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const { job } = await operations(api).start('discard', {}, ada);
    expect(await ends(api, job!.id, 'completed')).toMatchObject({ done: MANY });
    expect(await fixture.query('SELECT FROM queue_dead_letters WHERE discarded_at IS NULL')).toEqual([]);
  });

  it('cancels them', async () => {
    const api = await fixture.startApi();
    await api.queue.enqueueMany(Array.from({ length: MANY }, () => aTask({ delaySeconds: 600 })));
    const { job } = await operations(api).start('cancel', { status: 'scheduled' }, ada, { reason: 'not wanted' });
    expect(await ends(api, job!.id, 'completed')).toMatchObject({ done: MANY, reason: 'not wanted' });
    expect(await inState('cancelled')).toBe(MANY);
  });

  it('is not for tasks that fail after it began', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const held = holdSecondBatch(api);
    const { job } = await operations(api).start('redrive', {}, ada);
    await held.reached;
    await manyFailed(fixture.query, 3, 'later');
    held.goOn();
    expect(await ends(api, job!.id, 'completed')).toMatchObject({ done: MANY });
    expect(await inState('failed')).toBe(3);
  });
});

describe('a job', () => {
  it('that is stopped ends behind the batch it is at, and what it has done stays done', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const held = holdSecondBatch(api);
    const { job } = await operations(api).start('redrive', {}, ada);
    await held.reached;
    const stopping = operations(api).stop(job!.id, { actor: 'grace' });
    held.goOn();
    const stopped = await stopping;
    expect(stopped).toMatchObject({ status: 'stopped', total: MANY });
    expect([500, 1_000]).toContain(stopped.done);
    await until('no batch comes any more', async () => (await inState('pending')) === stopped.done);
    expect((await noted())[1]).toMatchObject({
      cause: 'bulk_redrive_stopped',
      actor: 'grace',
      detail: { count: stopped.done },
    });
    await expect(operations(api).stop(job!.id, ada)).rejects.toBeInstanceOf(JobStateError);
  });

  it('is gone on with by another instance when the one that ran it is dead', async () => {
    const dead = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const held = holdSecondBatch(dead);
    const { job } = await operations(dead).start('redrive', {}, ada);
    await held.reached;
    // Its connection breaks, it never comes back, and its lease is over.
    jest.spyOn(dead.module.get(JobStore), 'take').mockResolvedValue(undefined);
    held.fail(new Error('Connection terminated unexpectedly'));
    await until('the job is let go', async () => {
      const [row] = await fixture.query(`UPDATE queue_jobs SET runner_until = '-infinity' RETURNING position`);
      return row!.position !== '0';
    });
    const other = await fixture.startApi();
    expect(await ends(other, job!.id, 'completed')).toMatchObject({ done: MANY });
    expect(await inState('pending')).toBe(MANY);
    expect(await noted()).toHaveLength(2);
  });

  it('is let go by an instance that shuts down', async () => {
    const first = await fixture.startApi();
    const other = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const held = holdSecondBatch(first);
    const { job } = await operations(first).start('discard', {}, ada);
    await held.reached;
    const closed = first.close();
    held.goOn();
    await closed;
    expect(await ends(other, job!.id, 'completed')).toMatchObject({ done: MANY });
  });

  it('whose batch the database refuses time and again fails, and says why', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const held = holdSecondBatch(api);
    const { job } = await operations(api).start('discard', {}, ada);
    await held.reached;
    held.fail(Object.assign(new Error('value too long'), { code: '22001' }));
    expect(await ends(api, job!.id, 'failed')).toMatchObject({ error: 'value too long', done: 500 });
    expect((await noted()).at(-1)).toMatchObject({ cause: 'bulk_discard_failed', detail: { error: 'value too long' } });
  });

  it('is listed, newest first; others than those are not there', async () => {
    const api = await fixture.startApi();
    await manyFailed(fixture.query, MANY);
    const first = (await operations(api).start('discard', { appName: 'demo-app' }, ada)).job!;
    await ends(api, first.id, 'completed');
    const second = (await operations(api).start('redrive', { discarded: true }, ada)).job!;
    await ends(api, second.id, 'completed');
    expect((await operations(api).jobs(10)).map(({ id }) => id)).toEqual([second.id, first.id]);
    expect((await operations(api).jobs(10, second.id)).map(({ filter }) => filter)).toEqual([{ appName: 'demo-app' }]);
    await expect(operations(api).job('999')).rejects.toBeInstanceOf(JobNotFoundError);
    await expect(operations(api).stop('999', ada)).rejects.toBeInstanceOf(JobNotFoundError);
  });
});
