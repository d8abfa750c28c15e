import { BulkOperations } from '../../../src/queue/bulk/bulk-operations.js';
import { DeadLetterStore } from '../../../src/queue/store/dead-letter-store.js';
import type { DeadLetterFilter, DeadLetterPlace } from '../../../src/queue/store/dead-letters.sql.js';
import { aTask, completes, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const ada = { actor: 'ada', requestId: 'req-bulk' };

const operations = ({ module }: QueueInstance) => module.get(BulkOperations);
const deadLetters = ({ module }: QueueInstance) => module.get(DeadLetterStore);

/** Tasks that fail, one after the other, each with its message. */
async function failing(
  apps: readonly string[],
  {
    messageOf = (n: number) => `pod web-${n} is not ready`,
    key,
  }: { messageOf?: (n: number) => string; key?: string } = {},
) {
  let n = 0;
  const worker = await fixture.start({ workers: 1, behaviour: async () => failure(messageOf(n++)) });
  const ids: string[] = [];
  for (const appName of apps) {
    const { taskId } = await worker.queue.enqueue(aTask({ appName, ...(key && { concurrency: { key } }) }));
    await fixture.becomes(taskId, 'failed');
    ids.push(taskId);
  }
  return { worker, ids };
}

/** The task_ids of all pages. */
async function listed(instance: QueueInstance, filter: DeadLetterFilter = {}, limit = 2): Promise<string[]> {
  const rows: string[] = [];
  let after: DeadLetterPlace | undefined;
  for (;;) {
    const found = await deadLetters(instance).list(filter, limit, after);
    rows.push(...found.map(({ id }) => id));
    if (found.length < limit) break;
    after = found.at(-1);
  }
  const tasks = await fixture.query('SELECT id, task_id FROM queue_tasks');
  return rows.map((id) => tasks.find((task) => task.id === id)!.task_id as string);
}

describe('the list of dead letters', () => {
  it('holds those nobody has dealt with, the latest failure first, whatever the size of its pages', async () => {
    const { worker, ids } = await failing(['shop', 'billing', 'shop', 'shop', 'billing']);
    const latestFirst = ids.toReversed();
    for (const limit of [1, 2, 3, 10]) expect(await listed(worker, {}, limit)).toEqual(latestFirst);
    const { finished_at } = (await fixture.query('SELECT finished_at FROM queue_dead_letters ORDER BY id'))[2]!;
    const at = finished_at.toISOString();
    expect(await listed(worker, { until: at })).toEqual([ids[1], ids[0]]);
    expect(await listed(worker, { since: at })).toEqual([ids[4], ids[3], ids[2]]);
    expect(await listed(worker, { appName: 'billing' })).toEqual([ids[4], ids[1]]);
    expect(await listed(worker, { appName: 'billing', workflowName: 'none' })).toEqual([]);
    expect(await listed(worker, { cause: 'step_failed', appName: 'shop' })).toHaveLength(3);
    expect(await listed(worker, { cause: 'timeout' })).toEqual([]);
    expect(await listed(worker, { text: 'WEB-3' })).toEqual([ids[3]]);
    expect(await listed(worker, { text: ids[2]! })).toEqual([ids[2]]);
    expect(await listed(worker, { text: 'bill' })).toEqual([ids[4], ids[1]]);
    const own = `UPDATE queue_tasks SET workflow_spec = workflow_spec || '{"inline": true}' WHERE task_id = ANY($1)`;
    await fixture.query(own, [[ids[0], ids[3]]]);
    expect(await listed(worker, { inline: false })).toEqual([ids[4], ids[2], ids[1]]);
    expect(await listed(worker, { inline: false, text: 'WEB-3' })).toEqual([]);
  });

  it('goes on behind the last page also when the task it ended with was redriven meanwhile', async () => {
    const { worker, ids } = await failing(['a', 'b', 'c']);
    const [first] = await deadLetters(worker).list({}, 1);
    worker.handler.behaviour = completes;
    await worker.queue.retry(ids[2]!, ada);
    const rest = await deadLetters(worker).list({}, 10, first);
    expect(rest).toHaveLength(2);
  });

  it('is counted in the stats', async () => {
    const { worker, ids } = await failing(['shop', 'shop', 'shop']);
    await operations(worker).start('discard', { taskIds: [ids[0]!] }, ada);
    expect(await worker.queue.getStats()).toMatchObject({ dead_letters: 2, tasks_failed: 3 });
  });
});

describe('groups of dead letters', () => {
  it('hold like errors, the most numerous first, and the error of a group finds its tasks', async () => {
    const messages = [
      'pod web-7d4b9c6f5-x2x1z is not ready after 30.5 s',
      'the registry said no',
      'pod web-5c9d8b7f66-k8k2p is not ready\n after 7 s',
      'task-0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b: 10.1.2.3:8080 refused',
      'task-0293a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b: 10.9.2.4:80 refused',
      'pod web-6f5d8b7f66-k9k2p is not ready after 12 s',
    ];
    const { worker, ids } = await failing(['a', 'b', 'c', 'd', 'e', 'f'], { messageOf: (n) => messages[n]! });
    const found = await deadLetters(worker).groups({}, 'error', 2);
    expect(found).toMatchObject({ dead_letters: 6, all_groups: 3 });
    expect(found.groups.map(({ error, count }) => [error, count])).toEqual([
      ['pod web-#-# is not ready after # s', 3],
      ['task-#: # refused', 2],
    ]);
    expect(found.groups[0]).toMatchObject({ cause: 'step_failed', task_id: ids[5], error_message: messages[5] });
    expect(found.groups[0]!.newest > found.groups[0]!.oldest).toBe(true);
    expect(await listed(worker, { error: found.groups[1]!.error! })).toEqual([ids[4], ids[3]]);
    const causes = await deadLetters(worker).groups({ appName: 'a' }, 'cause', 5);
    expect(causes).toMatchObject({ dead_letters: 1, groups: [{ cause: 'step_failed', error: null, count: 1 }] });
    expect(await deadLetters(worker).groups({ appName: 'none' }, 'error', 5)).toEqual({
      dead_letters: 0,
      all_groups: 0,
      groups: [],
    });
  });
});

describe('the redrive of dead letters', () => {
  it('runs those again for which the filter holds, with fresh budgets and promises, and signs it', async () => {
    const { worker, ids } = await failing(['shop', 'billing', 'shop']);
    worker.handler.behaviour = completes;
    expect(await operations(worker).start('redrive', { appName: 'shop' }, ada)).toEqual({ count: 2 });
    await fixture.allBecome([ids[0]!, ids[2]!], 'completed');
    expect(await fixture.task(ids[0]!)).toMatchObject({ attempt: 2, failures: 0, cause: null, error_message: null });
    const row = await fixture.task(ids[0]!);
    expect(row.start_by - row.run_at).toBe(600_000);
    expect((await fixture.events(ids[0]!))[3]).toMatchObject({
      from_status: 'failed',
      to_status: 'pending',
      actor: 'ada',
      cause: 'redriven',
      request_id: 'req-bulk',
    });
    expect(await listed(worker)).toEqual([ids[1]]);
    expect(await fixture.query(`SELECT * FROM queue_task_events WHERE kind = 'operator'`)).toMatchObject([
      { actor: 'ada', cause: 'bulk_redrive_completed', task_id: null, request_id: 'req-bulk' },
    ]);
    const [{ detail }] = (await fixture.query(`SELECT detail FROM queue_task_events WHERE kind = 'operator'`)) as [
      never,
    ];
    expect(detail).toEqual({ filter: { app_name: 'shop' }, count: 2 });
  });

  it('of a dry run counts and changes nothing', async () => {
    const { worker, ids } = await failing(['shop', 'billing']);
    expect(await operations(worker).start('redrive', {}, ada, { dryRun: true })).toEqual({ count: 2 });
    expect(await operations(worker).start('discard', { cause: 'timeout' }, ada, { dryRun: true })).toEqual({
      count: 0,
    });
    expect(await listed(worker)).toEqual(ids.toReversed());
    expect(await fixture.query(`SELECT FROM queue_task_events WHERE kind = 'operator'`)).toEqual([]);
  });

  it('wakes the workers of other instances', async () => {
    const { worker, ids } = await failing(['shop']);
    await worker.close();
    const other = await fixture.start({ behaviour: completes, pollSeconds: 60 });
    await fixture.listening(1);
    const api = await fixture.startApi();
    await operations(api).start('redrive', {}, ada);
    await other.handler.run(1);
    await fixture.becomes(ids[0]!, 'completed');
  });

  it('goes round a task that somebody holds locked', async () => {
    const { worker, ids } = await failing(['shop', 'shop']);
    worker.handler.behaviour = completes;
    const hand = await fixture.hand('jane');
    await hand.query('BEGIN');
    await hand.query('SELECT FROM queue_tasks WHERE task_id = $1 FOR UPDATE', [ids[0]]);
    expect(await operations(worker).start('redrive', {}, ada)).toEqual({ count: 1 });
    await hand.query('ROLLBACK');
    expect(await listed(worker)).toEqual([ids[0]]);
  });

  it('respects what is paused, and concurrency keys', async () => {
    const { worker, ids } = await failing(['shop', 'shop', 'billing'], { key: 'one-at-a-time' });
    await worker.queue.pause({ appName: 'billing' }, ada);
    worker.handler.behaviour = fixture.gate().hold;
    expect(await operations(worker).start('redrive', {}, ada)).toEqual({ count: 3 });
    await worker.handler.run(4);
    const blocked = await fixture.query('SELECT t.task_id, reason FROM queue_blocked b JOIN queue_tasks t USING (id)');
    expect(blocked.map(({ reason }) => reason).sort()).toEqual(['key', 'paused']);
    expect(blocked.find(({ reason }) => reason === 'paused')!.task_id).toBe(ids[2]);
  });

  it('and a retry of the same task at once do it once', async () => {
    const { worker, ids } = await failing(['shop']);
    worker.handler.behaviour = fixture.gate().hold;
    await Promise.allSettled([
      operations(worker).start('redrive', {}, ada),
      operations(worker).start('redrive', {}, ada),
      worker.queue.retry(ids[0]!, ada),
    ]);
    await worker.handler.run(2);
    expect(await fixture.way(ids[0]!)).toBe('pending running failed pending running');
  });
});

describe('the discard of dead letters', () => {
  it('takes them out of the list and keeps them as history, with a note to each', async () => {
    const { worker, ids } = await failing(['shop', 'billing', 'shop']);
    expect(await operations(worker).start('discard', { appName: 'shop' }, ada)).toEqual({ count: 2 });
    expect(await operations(worker).start('discard', { appName: 'shop' }, ada)).toEqual({ count: 0 });
    expect(await operations(worker).start('discard', { taskIds: ids }, ada, { dryRun: true })).toEqual({ count: 1 });
    expect(await listed(worker)).toEqual([ids[1]]);
    expect(await listed(worker, { discarded: true })).toEqual([ids[2], ids[0]]);
    expect(await fixture.task(ids[0]!)).toMatchObject({ status: 'failed' });
    expect(await fixture.events(ids[0]!, 'operator')).toMatchObject([
      { actor: 'ada', cause: 'discarded', attempt: 1, request_id: 'req-bulk' },
    ]);
  });

  it('can be taken back by the ids of the tasks, or for all discarded ones of a filter', async () => {
    const { worker, ids } = await failing(['shop', 'shop', 'billing']);
    await operations(worker).start('discard', {}, ada);
    worker.handler.behaviour = completes;
    expect(await operations(worker).start('redrive', { appName: 'shop' }, ada)).toEqual({ count: 0 });
    expect(await operations(worker).start('redrive', { taskIds: [ids[0]!, 'task-none'] }, ada)).toEqual({ count: 1 });
    expect(await operations(worker).start('redrive', { discarded: true }, ada)).toEqual({ count: 2 });
    await fixture.allBecome(ids, 'completed');
  });

  it('ends with the next failure of the task', async () => {
    const { worker, ids } = await failing(['shop']);
    await operations(worker).start('discard', { taskIds: ids }, ada);
    await worker.queue.retry(ids[0]!, ada);
    await worker.handler.run(2);
    await fixture.becomes(ids[0]!, 'failed');
    expect(await listed(worker)).toEqual(ids);
  });
});

describe('the cancel of many tasks', () => {
  it('ends those for which the filter holds, in whatever state they wait or run', async () => {
    const worker = await fixture.start({ workers: 1, behaviour: fixture.gate().hold });
    const { queue } = worker;
    const running = await queue.enqueue(aTask({ appName: 'shop' }));
    await worker.handler.run(1);
    const tasks = await queue.enqueueMany([
      aTask({ appName: 'shop' }),
      aTask({ appName: 'shop', delaySeconds: 600 }),
      aTask({ appName: 'billing' }),
    ]);
    const [pending, scheduled, other] = tasks.map(({ taskId }) => taskId) as [string, string, string];
    const dry = (filter: object) => operations(worker).start('cancel', filter, ada, { dryRun: true });
    expect(await dry({ status: 'running' })).toEqual({ count: 1 });
    expect(await dry({ status: 'scheduled', appName: 'shop' })).toEqual({ count: 1 });
    expect(await dry({ taskIds: [other, 'task-none'] })).toEqual({ count: 1 });
    expect(await dry({ until: '2020-01-01T00:00:00Z' })).toEqual({ count: 0 });
    const reason = 'cancelled by ada: wrong cluster';
    expect(await operations(worker).start('cancel', { appName: 'shop' }, ada, { reason })).toEqual({ count: 3 });
    await fixture.allBecome([running.taskId, pending, scheduled], 'cancelled');
    expect(await fixture.task(scheduled)).toMatchObject({ cause: 'cancelled', error_message: reason });
    expect((await fixture.events(scheduled)).at(-1)).toMatchObject({ actor: 'ada', request_id: 'req-bulk' });
    await fixture.becomes(other, 'running');
  });
});
