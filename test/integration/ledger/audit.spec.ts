import { AuditStore } from '../../../src/queue/store/audit-store.js';
import type { AuditFilter } from '../../../src/queue/store/audit.sql.js';
import { LedgerStore } from '../../../src/queue/store/ledger-store.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

// A ledger without tasks.
const fixture = useQueue({ invariants: false });

async function setup() {
  const api = await fixture.startApi();
  const get = <T>(type: new (...given: never[]) => T) => api.module.get(type, { strict: false });
  return { api, audit: get(AuditStore), ledger: get(LedgerStore) };
}

/** Entries of the last days, a second apart, written by workers but for every hundredth, or more often. */
async function fill(count: number, every = 100): Promise<void> {
  await fixture.query(
    `INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, cause, at)
     SELECT 'transition', 'task-' || n / 3, 'pending', 'running', 1,
            CASE WHEN n % $2::int = 0 THEN 'ada' ELSE 'worker:' || n % 4 END, CASE WHEN n = 1 THEN 'rare' END,
            now() - ($1 - n) * interval '1 second'
     FROM generate_series(1, $1::int) n`,
    [count, every],
  );
  await fixture.query('ANALYZE queue_task_events');
}

async function all(audit: AuditStore, filter: AuditFilter, limit = 100) {
  const entries = [];
  let [before, pages]: [{ at: string; id: string } | undefined, number] = [undefined, 0];
  do {
    const page = await audit.list({ filter, before, limit });
    entries.push(...page.entries);
    before = page.next;
    pages++;
  } while (before);
  return { entries, pages };
}

describe('the whole ledger', () => {
  it('is read page by page, newest first, each entry once', async () => {
    const { audit } = await setup();
    await fill(1_000);
    const { entries, pages } = await all(audit, {}, 300);
    expect(pages).toBe(4);
    const ids = entries.map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
    expect(new Set(ids).size).toBe(1_000);
    expect(entries[0]!.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('goes by every filter, and by several at once', async () => {
    const { api, audit, ledger } = await setup();
    await fill(300);
    const { taskId } = await api.queue.enqueue(aTask({ appName: 'shop' }));
    await ledger.note({ actor: 'ada', cause: 'queue_paused', detail: { app_name: 'shop' }, requestId: 'r-1' });
    const count = async (filter: AuditFilter) => (await all(audit, filter)).entries.length;
    expect(await count({ actor: 'ada' })).toBe(4);
    expect(await count({ actor: 'worker:1' })).toBe(75);
    expect(await count({ taskId })).toBe(1);
    expect(await count({ appName: 'shop' })).toBe(1);
    expect(await count({ appName: 'nobody' })).toBe(0);
    expect(await count({ cause: 'rare' })).toBe(1);
    expect(await count({ kind: 'transition' })).toBe(301);
    expect(await count({ actor: 'ada', kind: 'operator', cause: 'queue_paused' })).toBe(1);
    const since = new Date(Date.now() - 100_500).toISOString();
    expect(await count({ since, actor: 'ada' })).toBe(3);
    expect(await count({ until: since, actor: 'ada' })).toBe(1);
    const [entry] = (await all(audit, { kind: 'operator' })).entries;
    expect(entry).toEqual({
      ...{ kind: 'operator', task_id: null, from_status: null, to_status: null, attempt: null },
      ...{ actor: 'ada', cause: 'queue_paused', detail: { app_name: 'shop' }, request_id: 'r-1' },
      ...{ id: expect.any(String), at: expect.any(String) },
    });
  });

  it('finds rare entries at the end of a long ledger, some pages later', async () => {
    const { audit } = await setup();
    await fill(250_000);
    const { entries, pages } = await all(audit, { cause: 'rare' });
    expect(entries.map(({ cause }) => cause)).toEqual(['rare']);
    expect(pages).toBe(3);
  });

  it('costs a page what it holds, whatever the ledger holds', async () => {
    const { audit, ledger } = await setup();
    await fill(100_000, 4);
    await ledger.note({ actor: 'eve', cause: 'noted' });
    const plans = await fixture.hand();
    for (const condition of [
      `true`,
      `e.at < now() - interval '20 hours'`,
      `e.actor = 'ada' AND e.actor NOT LIKE 'worker:%'`,
      `e.kind = 'operator'`,
      `e.task_id = 'task-77'`,
    ]) {
      const { rows } = await plans.query(
        `EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM queue_task_events e WHERE ${condition} ORDER BY e.at DESC, e.id DESC LIMIT 101`,
      );
      const [{ Plan: plan }] = rows[0]['QUERY PLAN'];
      expect(read(plan)).toBeLessThan(500);
    }
    expect((await all(audit, { actor: 'eve' })).entries).toHaveLength(1);
  });

  it('has the notes of whoever writes them in a transaction, or not at all', async () => {
    const { audit, ledger } = await setup();
    const boom = new Error('the pause cannot be stored');
    const work = ledger['database'].transaction(async (transaction) => {
      await ledger.note({ actor: 'ada', cause: 'queue_paused' }, { executor: transaction });
      throw boom;
    });
    await expect(work).rejects.toBe(boom);
    expect((await all(audit, {})).entries).toEqual([]);
  });
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** Rows that the scans of a plan have come by. */
function read(plan: Plan): number {
  const own = plan['Node Type'].includes('Scan') ? plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0) : 0;
  return own + (plan.Plans ?? []).reduce((sum, child) => sum + read(child), 0);
}
