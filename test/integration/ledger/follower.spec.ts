import { setMaxListeners } from 'node:events';
import { EventFollower } from '../../../src/queue/events/event-follower.js';
import type { LedgerCursor } from '../../../src/queue/events/ledger-cursor.js';
import { LedgerReader, type LedgerEvent } from '../../../src/queue/store/ledger-reader.js';
import { aTask, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const START: LedgerCursor = { xid: '0', id: '0' };
const HERE = new AbortController().signal;

const of = <T>({ module }: QueueInstance, type: new (...given: never[]) => T) => module.get(type, { strict: false });
const told = ({ taskId, type, id }: LedgerEvent) => `${taskId} ${type} ${id}`;

/** What the ledger has, in the order in which it is to be told of each task. */
async function ledger(): Promise<Map<string, string[]>> {
  const rows = await fixture.query('SELECT task_id, id FROM queue_task_events WHERE task_id IS NOT NULL ORDER BY id');
  return byTask(rows.map(({ task_id, id }) => ({ taskId: task_id as string, id: id as string })));
}

function byTask(events: readonly { taskId: string; id: string }[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { taskId, id } of events) found.set(taskId, [...(found.get(taskId) ?? []), id]);
  return found;
}

/** Reads until it has as many events as the ledger, from `after` on. */
async function readAll(follower: EventFollower, after: LedgerCursor, count: number): Promise<LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  let cursor = after;
  const read = async () => {
    const page = await follower.next(cursor, 200, HERE);
    events.push(...page.events);
    cursor = page.end;
    return events.length >= count;
  };
  await until(() => `${count} events came: ${events.length} did`, read);
  return events;
}

describe('the follower', () => {
  it('tells every change once, in the order of each task, while many instances make them', async () => {
    const instances = await Promise.all([fixture.start(), fixture.start({ prefetch: 20 }), fixture.startApi()]);
    const follower = of(instances[2], EventFollower);
    const tasks = 150;
    const reading = readAll(follower, await follower.now(), tasks * 3);
    // Somebody's transactions, open for a while beside all that: they write first and change a task later.
    const hand = await fixture.hand('ada');
    for (let n = 0; n < 5; n++) {
      await hand.query('BEGIN; SELECT pg_current_xact_id()');
      await Promise.all(instances.map(({ queue }) => queue.enqueueMany(Array.from({ length: 10 }, () => aTask()))));
      await hand.query('COMMIT');
    }
    const events = await reading;
    expect(byTask(events)).toEqual(await ledger());
    expect(new Set(events.map(told)).size).toBe(tasks * 3);
    const [{ taskId }] = events as [LedgerEvent];
    expect(events.filter((event) => event.taskId === taskId).map(({ type }) => type)).toEqual([
      'task.enqueued',
      'task.started',
      'task.completed',
    ]);
    expect(events[0]).toMatchObject({ appName: 'demo-app', workflowName: 'golden-path-deploy-app', actor: 'tester' });
  });

  it('goes on behind any event without a gap or a double', async () => {
    const api = await fixture.startApi();
    await api.queue.enqueueMany(Array.from({ length: 700 }, () => aTask()));
    const follower = of(api, EventFollower);
    const events = await readAll(follower, START, 700);
    for (const n of [0, 1, 499, 500, 650]) {
      const rest = await readAll(follower, events[n]!.cursor, 699 - n);
      expect(rest.map(told)).toEqual(events.slice(n + 1).map(told));
    }
    const after = await follower.next(events.at(-1)!.cursor, 0, HERE);
    expect(after.events).toEqual([]);
  });

  it('tells late changes of a task in its order: somebody had a transaction open', async () => {
    const api = await fixture.startApi();
    const { taskId } = await api.queue.enqueue(aTask());
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN; SELECT pg_current_xact_id()');
    await fixture.query(
      `WITH signed AS MATERIALIZED (SELECT set_config('turnpike.actor', 'bob', true))
       UPDATE queue_tasks SET status = 'running', attempt = 1, started_at = now() FROM signed`,
    );
    await hand.query(`UPDATE queue_tasks SET status = 'cancelled'; DELETE FROM queue_ready; COMMIT`);
    const events = await readAll(of(api, EventFollower), START, 3);
    expect(events.map(({ type, actor }) => `${type} ${actor}`)).toEqual([
      'task.enqueued tester',
      'task.started bob',
      'task.cancelled ada',
    ]);
    expect(byTask(events)).toEqual(new Map([[taskId, events.map(({ id }) => id)]]));
    await fixture.query('DELETE FROM queue_leases');
  });

  it('keeps to that where pages lie between the changes, and while the earlier ones cannot be told yet', async () => {
    const api = await fixture.startApi();
    const [ada, other] = [await fixture.hand('ada'), await fixture.hand('eve')];
    const { taskId } = await api.queue.enqueue(aTask());
    await ada.query('BEGIN; SELECT pg_current_xact_id()');
    await api.queue.enqueueMany(Array.from({ length: 1_200 }, () => aTask()));
    await other.query('BEGIN; SELECT pg_current_xact_id()');
    await fixture.query(
      `WITH signed AS MATERIALIZED (SELECT set_config('turnpike.actor', 'bob', true))
       UPDATE queue_tasks SET status = 'running', attempt = 1, started_at = now() FROM signed WHERE task_id = $1`,
      [taskId],
    );
    await ada.query(`UPDATE queue_tasks SET status = 'cancelled' WHERE task_id = '${taskId}'; COMMIT`);
    await fixture.query('DELETE FROM queue_ready r USING queue_tasks t WHERE t.id = r.id AND t.task_id = $1', [taskId]);
    const follower = of(api, EventFollower);
    const before = await readAll(follower, START, 1_201);
    expect(before.filter((event) => event.taskId === taskId).map(({ type }) => type)).toEqual(['task.enqueued']);
    await other.query('COMMIT');
    const events = await readAll(follower, START, 1_203);
    expect(byTask(events)).toEqual(await ledger());
    const own = events.filter((event) => event.taskId === taskId);
    expect(own.map(({ actor }) => actor)).toEqual(['tester', 'bob', 'ada']);
    for (const { cursor, id } of own) {
      const place = events.findIndex((event) => event.id === id);
      const rest = events.slice(place + 1);
      expect((await readAll(follower, cursor, rest.length)).map(told)).toEqual(rest.map(told));
    }
    await fixture.query('DELETE FROM queue_leases');
  });

  it('holds back what comes behind an open transaction', async () => {
    const api = await fixture.startApi();
    const reader = of(api, LedgerReader);
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN; SELECT pg_current_xact_id()');
    await api.queue.enqueue(aTask());
    expect((await reader.page(START)).events).toEqual([]);
    await hand.query('COMMIT');
    expect(await readAll(of(api, EventFollower), START, 1)).toHaveLength(1);
  });

  it('looks for all readers at once, and not at all while nobody reads', async () => {
    const api = await fixture.startApi();
    const follower = of(api, EventFollower);
    const page = jest.spyOn(of(api, LedgerReader), 'page');
    const now = await follower.now();
    const gone = new AbortController();
    setMaxListeners(300, gone.signal);
    const readers = Array.from({ length: 200 }, () => readUntil(gone.signal));
    async function readUntil(signal: AbortSignal): Promise<number> {
      let [cursor, count] = [now, 0];
      while (!signal.aborted && count < 20) {
        const next = await follower.next(cursor, 20_000, signal);
        cursor = next.end;
        count += next.events.length;
      }
      return count;
    }
    for (let n = 0; n < 20; n++) await api.queue.enqueue(aTask());
    expect(await Promise.all(readers)).toEqual(readers.map(() => 20));
    // Each may have had a page of its own before it was at the end with the others.
    expect(page.mock.calls.length).toBeLessThan(200 + 100);
    gone.abort();
    await fixture.listening(1);
    const before = page.mock.calls.length;
    await api.queue.enqueue(aTask());
    await new Promise((resolve) => setImmediate(resolve));
    expect(page.mock.calls.length - before).toBeLessThanOrEqual(1);
  });
});
