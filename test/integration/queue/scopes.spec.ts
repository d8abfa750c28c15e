import { AuditStore } from '../../../src/queue/store/audit-store.js';
import type { AuditFilter } from '../../../src/queue/store/audit.sql.js';
import { BulkOperations } from '../../../src/queue/bulk/bulk-operations.js';
import { DeadLetterStore } from '../../../src/queue/store/dead-letter-store.js';
import type { TaskFilter } from '../../../src/queue/store/list.sql.js';
import { ListStore } from '../../../src/queue/store/list-store.js';
import { matchesAny } from '../../../src/common/app-patterns.js';
import { aTask, failure, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';
import { startSchedules, aSchedule, ANN } from '../../support/schedule-harness.js';
import { startWebhooks } from '../../support/webhook-harness.js';

const fixture = useQueue();
const APPS = ['frontend-web', 'frontend-app', 'shop', 'shop_x', 'shopax', 'billing', 'api-frontend-'];
const SCOPES = [['frontend-*'], ['shop_x', 'bill*'], ['*-frontend-', 'shop'], ['nobody-*'], []];

const get = <T>({ module }: QueueInstance, type: new (...given: never[]) => T): T =>
  module.get(type, { strict: false });

/** Tasks of all applications, in turn, a part of them labelled; every fifth has failed. */
async function aMixedQueue(): Promise<QueueInstance> {
  const worker = await fixture.start({
    workers: 4,
    behaviour: (run) => Promise.resolve(failure(`no way for ${run.task.appName}`)),
  });
  const failing: string[] = [];
  for (let n = 0; n < 70; n++) {
    const metadata = { ...(n % 3 === 0 ? { labels: { team: 'a' } } : {}) };
    const later = n % 5 === 0 ? {} : { delaySeconds: 3_600 };
    const task = { ...aTask(), appName: APPS[n % APPS.length]!, workflowName: `w-${n % 2}`, metadata, ...later };
    const { taskId } = await worker.queue.enqueue(task);
    if (n % 5 === 0) failing.push(taskId);
  }
  await fixture.allBecome(failing, 'failed');
  return worker;
}

async function pages(read: (after: string | undefined) => Promise<string[]>, limit: number): Promise<string[][]> {
  const all: string[][] = [];
  for (let after: string | undefined; ;) {
    const page = await read(after);
    if (page.length > 0) all.push(page);
    if (page.length < limit) return all;
    after = page.at(-1);
  }
}

describe('what is read for some applications only', () => {
  it('is exactly theirs: every list, page by page, each page full', async () => {
    const instance = await aMixedQueue();
    const lists = get(instance, ListStore);
    const rows = await fixture.query('SELECT * FROM queue_tasks ORDER BY enqueued_at DESC, id DESC');
    const filters: [TaskFilter, (row: Row) => boolean][] = [
      [{}, () => true],
      [{ status: 'failed' }, (row) => row.status === 'failed'],
      [{ status: 'scheduled' }, (row) => row.status === 'scheduled'],
      [{ appName: 'shop' }, (row) => row.app_name === 'shop'],
      [{ workflowName: 'w-1' }, (row) => row.workflow_name === 'w-1'],
      [{ labels: { team: 'a' } }, (row) => row.metadata.labels?.team === 'a'],
      [{ text: 'front' }, (row) => /front/.test(`${row.app_name} ${row.error_message}`)],
      [{ text: 'no way' }, (row) => /no way/.test(row.error_message)],
    ];
    for (const apps of SCOPES) {
      for (const [filter, holds] of filters) {
        const wanted = rows.filter((row) => matchesAny(apps, row.app_name) && holds(row)).map(({ id }) => String(id));
        const read = (after?: string) => lists.list({ filter: { ...filter, apps }, after, limit: 4 });
        const found = await pages(read, 4);
        const byId = filter.status === undefined ? wanted : [...wanted].sort((a, b) => Number(b) - Number(a));
        expect([apps, filter, found.flat()]).toEqual([apps, filter, byId]);
        expect(found.slice(0, -1).every((page) => page.length === 4)).toBe(true);
      }
    }
  });

  it('holds for dead letters, their groups and what bulk verbs do', async () => {
    const instance = await aMixedQueue();
    const apps = ['frontend-*', 'shop_x'];
    const theirs = `app_name LIKE 'frontend-%' OR app_name = 'shop_x'`;
    const [{ n } = { n: 0 }] = await fixture.query(`SELECT count(*)::int AS n FROM queue_dead_letters WHERE ${theirs}`);
    expect(n).toBeGreaterThan(2);
    const letters = get(instance, DeadLetterStore);
    expect(await letters.list({ apps }, 100)).toHaveLength(n);
    expect(await letters.groups({ apps }, 'cause', 10)).toMatchObject({ dead_letters: n });
    const bulk = get(instance, BulkOperations);
    expect(await bulk.start('discard', { apps, appName: 'billing' }, ANN)).toEqual({ count: 0 });
    expect(await bulk.start('discard', { apps }, ANN)).toEqual({ count: n });
    const { count } = await bulk.start('cancel', { apps }, ANN);
    const cancelled = await fixture.query(`SELECT app_name FROM queue_tasks WHERE status = 'cancelled'`);
    expect(cancelled).toHaveLength(count);
    expect(cancelled.every(({ app_name: app }) => matchesAny(apps, app))).toBe(true);
    const left = `SELECT count(*)::int AS n FROM queue_tasks WHERE status = 'scheduled' AND (${theirs})`;
    expect((await fixture.query(left))[0]).toEqual({ n: 0 });
  });

  it('holds for the ledger', async () => {
    const instance = await aMixedQueue();
    const audit = get(instance, AuditStore);
    const appOf = new Map(
      (await fixture.query('SELECT task_id, app_name FROM queue_tasks')).map((t) => [t.task_id, t.app_name]),
    );
    const entries = await fixture.query('SELECT id, task_id FROM queue_task_events ORDER BY at DESC, id DESC');
    for (const apps of SCOPES) {
      for (const filter of [{}, { appName: 'shop' }, { kind: 'operator' }] as AuditFilter[]) {
        const found: string[] = [];
        let before: { at: string; id: string } | undefined;
        do {
          const page = await audit.list({ filter: { ...filter, apps }, before, limit: 50 });
          found.push(...page.entries.map(({ id }) => String(id)));
          before = page.next;
        } while (before);
        const isTheirs = ({ task_id: id }: Row) =>
          filter.kind === undefined &&
          appOf.has(id) &&
          matchesAny(apps, appOf.get(id)) &&
          (filter.appName === undefined || appOf.get(id) === filter.appName);
        expect([apps, filter, found]).toEqual([apps, filter, entries.filter(isTheirs).map(({ id }) => String(id))]);
      }
    }
  });

  it('holds for schedules, whichever way they name their application', async () => {
    const { schedules } = await startSchedules(fixture, { workers: 0 });
    const spec = { metadata: { name: 'frontend-web' } };
    await schedules.create(aSchedule({ name: 'a', app_name: 'shop' }), ANN);
    await schedules.create(aSchedule({ name: 'b', app_name: 'frontend-app' }), ANN);
    await schedules.create(aSchedule({ name: 'c', spec }), ANN);
    await schedules.create(aSchedule({ name: 'd', app_name: 'shop', spec }), ANN);
    const apps = ['frontend-*'];
    const first = await schedules.list({ limit: 1 }, apps);
    const second = await schedules.list({ limit: 1, cursor: first.next_cursor! }, apps);
    expect([...first.schedules, ...second.schedules].map(({ name }) => name)).toEqual(['b', 'c']);
    expect(second.next_cursor).toBeNull();
    expect((await schedules.get('c', apps)).name).toBe('c');
    const caller = { name: 'eve', roles: ['author' as const], scopes: apps };
    const by = { actor: 'eve', requestId: 'r', caller };
    const gone = { code: 'schedule_not_found' };
    await expect(schedules.get('d', apps)).rejects.toMatchObject(gone);
    await expect(schedules.edit('a', { paused: true }, 'part', by)).rejects.toMatchObject(gone);
    await expect(schedules.remove('d', by)).rejects.toMatchObject(gone);
    await expect(schedules.run('a', by)).rejects.toMatchObject(gone);
    await expect(schedules.listFirings('a', { limit: 1 }, apps)).rejects.toMatchObject(gone);
    expect(await schedules.edit('b', { paused: true }, 'part', by)).toMatchObject({ paused: true });
    const urgent = schedules.edit('b', { priority: 'urgent' }, 'part', by);
    await expect(urgent).rejects.toMatchObject({ code: 'role_required' });
  });

  it('holds for webhooks', async () => {
    const { webhooks, deliveries } = await startWebhooks(fixture, { workers: 0 });
    const url = 'http://127.0.0.1:1/';
    const make = async (apps: string[] | null) => (await webhooks.create({ url, events: ['*'], apps }, ANN)).id;
    const [open, mixed, web, all] = [
      await make(null),
      await make(['frontend-web', 'shop']),
      await make(['frontend-web']),
      await make(['frontend-*']),
    ];
    const apps = ['frontend-*'];
    const first = await webhooks.list({ limit: 1 }, apps);
    const second = await webhooks.list({ limit: 1, cursor: first.next_cursor! }, apps);
    expect([...first.webhooks, ...second.webhooks].map(({ id }) => id)).toEqual([web, all]);
    const by = { actor: 'eve', requestId: 'r', caller: { name: 'eve', roles: ['operator' as const], scopes: apps } };
    for (const id of [open, mixed]) {
      const gone = { code: 'webhook_not_found' };
      await expect(webhooks.get(id, apps)).rejects.toMatchObject(gone);
      await expect(webhooks.edit(id, { enabled: false }, by)).rejects.toMatchObject(gone);
      await expect(webhooks.remove(id, by)).rejects.toMatchObject(gone);
      await expect(webhooks.rotate(id, 0, by)).rejects.toMatchObject(gone);
      await expect(deliveries.list(id, { limit: 1 }, apps)).rejects.toMatchObject(gone);
      await expect(deliveries.test(id, apps)).rejects.toMatchObject(gone);
      await expect(deliveries.redeliver(id, '1', by)).rejects.toMatchObject(gone);
    }
    const tooMuch = { code: 'out_of_scope' };
    await expect(webhooks.create({ url, events: ['*'] }, by)).rejects.toMatchObject(tooMuch);
    await expect(webhooks.create({ url, events: ['*'], apps: ['front*'] }, by)).rejects.toMatchObject(tooMuch);
    await expect(webhooks.edit(web, { apps: null }, by)).rejects.toMatchObject(tooMuch);
    expect(await webhooks.edit(web, { apps: ['frontend-x*'] }, by)).toMatchObject({ apps: ['frontend-x*'] });
  });
});
