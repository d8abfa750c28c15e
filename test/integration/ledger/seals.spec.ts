import { createHash } from 'node:crypto';
import { LedgerVerifier, type Break } from '../../../src/queue/ledger/verifier.js';
import { LedgerStore } from '../../../src/queue/store/ledger-store.js';
import { RetentionStore } from '../../../src/queue/store/retention-store.js';
import { SealStore } from '../../../src/queue/store/seal-store.js';
import { aTask, type QueueInstance } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

// Some of these tests tear holes into the ledger.
const fixture = useQueue({ invariants: false });

async function setup(): Promise<{
  api: QueueInstance;
  seals: SealStore;
  verifier: LedgerVerifier;
  ledger: LedgerStore;
  retention: RetentionStore;
}> {
  const api = await fixture.startApi();
  const get = <T>(type: new (...given: never[]) => T) => api.module.get(type, { strict: false });
  return {
    api,
    seals: get(SealStore),
    verifier: get(LedgerVerifier),
    ledger: get(LedgerStore),
    retention: get(RetentionStore),
  };
}

const HELD = 'SELECT FROM queue_task_events WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())';

/** Seals all there is. Other databases of this server can have transactions open that hold rows back for a while. */
async function sealAll(seals: SealStore, blockRows: number): Promise<void> {
  await until('no row is held back', async () => (await fixture.query(HELD)).length === 0);
  while ((await seals.seal(blockRows)) > 0);
}

/** Blocks of two rows, five rows in all. */
async function sealed() {
  const bundle = await setup();
  for (let n = 0; n < 5; n++) await bundle.api.queue.enqueue(aTask({ metadata: { user: `user-${n}` } }));
  await sealAll(bundle.seals, 2);
  return bundle;
}

/** As somebody who owns the database and knows how to put triggers to sleep. */
async function tamper(sql: string): Promise<void> {
  await fixture.query(`BEGIN; SET LOCAL session_replication_role = replica; ${sql}; COMMIT`);
}

const rows = (offset: number) => `(SELECT id FROM queue_task_events ORDER BY xid, id OFFSET ${offset} LIMIT 1)`;

/** Rows that are as old as that: their weeks are long over, and lie in partitions of their own. */
async function history(weeksAgo: number, count: number): Promise<void> {
  await fixture.query(`
    DO $$
    DECLARE day timestamp := date_trunc('week', now() AT TIME ZONE 'UTC') - ${weeksAgo} * interval '7 days';
    BEGIN
      EXECUTE format('CREATE TABLE queue_task_events_%s PARTITION OF queue_task_events FOR VALUES FROM (%L) TO (%L)',
        to_char(day, 'YYYYMMDD'), day::text || '+00', (day + interval '7 days')::text || '+00');
    END $$`);
  await fixture.query(
    `INSERT INTO queue_task_events (kind, actor, cause, at)
     SELECT 'operator', 'ada', 'noted', date_trunc('week', now()) - $1 * interval '7 days' + n * interval '1 hour'
     FROM generate_series(1, $2::int) n`,
    [weeksAgo, count],
  );
}

describe('the chain of seals', () => {
  it('links all that is committed, in blocks, and is valid', async () => {
    const { verifier } = await sealed();
    const head = await verifier.head();
    expect(head).toEqual({
      block: 3,
      rows: 5,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      sealed_at: expect.any(String),
    });
    const checked = { from_block: 1, to_block: 3, rows: 5, rows_removed: 0 };
    expect(await verifier.verify()).toEqual({ valid: true, checked, head, removed_before: null });
    expect(await verifier.verify({ fromBlock: 3, kept: { block: 3, hash: head!.hash } })).toMatchObject({
      ...{ valid: true, checked: { from_block: 3, rows: 1 } },
    });
    expect(await verifier.verify({ fromBlock: 4 })).toMatchObject({ valid: true, checked: { rows: 0 } });
  });

  it('is empty, and valid, before anything happened', async () => {
    const { verifier, seals } = await setup();
    expect(await seals.seal(10)).toBe(0);
    expect(await verifier.verify()).toMatchObject({ valid: true, head: null });
  });

  it('can be recomputed with the words of docs/audit.md, whatever the session is set to', async () => {
    const { ledger, seals } = await setup();
    const detail = { text: 'a "quoted" \\ line\n', number: 1.5e3, list: [null, true, 'ü'] };
    await ledger.note({ actor: 'ada', cause: 'noted', detail, requestId: 'r-1' });
    const hand = await fixture.hand();
    await hand.query(`SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; SET extra_float_digits = 0`);
    await sealAll(seals, 10);
    const [row] = (await hand.query('SELECT * FROM queue_task_events')).rows;
    const [seal] = (await hand.query(`SELECT *, to_xid::text AS to_xid FROM queue_ledger_seals`)).rows;
    const { at } = (
      await hand.query(
        `SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM queue_task_events`,
      )
    ).rows[0];
    const json = `{"list": [null, true, "ü"], "text": "a \\"quoted\\" \\\\ line\\n", "number": 1500}`;
    const canonical = `[${row.id}, "operator", null, null, null, null, "ada", "noted", ${json}, "r-1", "${at}", "${row.xid}"]`;
    const sha = (data: string | Buffer) => createHash('sha256').update(data);
    expect(seal.parts).toMatchObject([{ rows: 1, hash: sha(sha(canonical).digest()).digest('hex') }]);
  });

  it('leaves what comes behind an open transaction to a later block', async () => {
    const { api, seals, verifier } = await setup();
    await api.queue.enqueue(aTask());
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN');
    await hand.query(`INSERT INTO queue_task_events (kind, actor, cause) VALUES ('operator', 'ada', 'noted')`);
    await api.queue.enqueue(aTask());
    expect(await seals.seal(10)).toBeLessThanOrEqual(1);
    await hand.query('COMMIT');
    await sealAll(seals, 10);
    expect(await verifier.head()).toMatchObject({ rows: 3 });
    expect(await verifier.verify()).toMatchObject({ valid: true, checked: { rows: 3 } });
  });

  it('has no forks when many seal at once', async () => {
    const { api, verifier } = await setup();
    const others = await Promise.all([fixture.startApi(), fixture.startApi()]);
    const stores = [api, ...others].map(({ module }) => module.get(SealStore, { strict: false }));
    await api.queue.enqueueMany(Array.from({ length: 60 }, () => aTask()));
    await until('no row is held back', async () => (await fixture.query(HELD)).length === 0);
    const sealing = async (store: SealStore) => {
      while (((await verifier.head())?.rows ?? 0) < 60) await store.seal(7);
    };
    await Promise.all(stores.map(sealing));
    expect(await verifier.verify()).toMatchObject({ valid: true, checked: { to_block: 9, rows: 60 } });
  });

  it('is made by an instance with workers on its own', async () => {
    const { queue, module } = await fixture.start();
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    const verifier = module.get(LedgerVerifier, { strict: false });
    await until('all is sealed', async () => (await verifier.head())?.rows === 3);
    expect(await verifier.verify()).toMatchObject({ valid: true });
  });

  it.each<[string, Break, number, string]>([
    ['an actor', 'changed_row', 2, `UPDATE queue_task_events SET actor = 'nobody' WHERE id = ${rows(2)}`],
    [
      'a time by a microsecond',
      'changed_row',
      1,
      `UPDATE queue_task_events SET at = at + interval '1 us' WHERE id = ${rows(1)}`,
    ],
    ['null to the text', 'changed_row', 1, `UPDATE queue_task_events SET request_id = 'null' WHERE id = ${rows(0)}`],
    ['a row away', 'missing_row', 3, `DELETE FROM queue_task_events WHERE id = ${rows(4)}`],
    [
      'a row to another block',
      'missing_row',
      2,
      `UPDATE queue_task_events SET xid = '99999999999' WHERE id = ${rows(2)}`,
    ],
    [
      'a row in',
      'extra_row',
      2,
      `INSERT INTO queue_task_events (kind, task_id, actor, xid) SELECT kind, task_id, 'ada', xid FROM queue_task_events WHERE id = ${rows(3)}; UPDATE queue_task_events SET id = -id WHERE actor = 'ada'`,
    ],
    [
      'a seal',
      'changed_seal',
      2,
      `UPDATE queue_ledger_seals SET sealed_at = sealed_at - interval '1 day' WHERE block = 2`,
    ],
    ['the hash of a seal', 'changed_seal', 2, `UPDATE queue_ledger_seals SET hash = repeat('a', 64) WHERE block = 2`],
    ['a seal away', 'broken_link', 2, 'DELETE FROM queue_ledger_seals WHERE block = 2'],
    ['the first seal away', 'broken_link', 1, 'DELETE FROM queue_ledger_seals WHERE block = 1'],
  ])('shows who changed %s', async (_, reason, block, sql) => {
    const { verifier } = await sealed();
    await tamper(sql);
    expect(await verifier.verify()).toMatchObject({ valid: false, first_broken: { block, reason } });
  });

  it('shows by a head that was kept who made it anew', async () => {
    const { verifier, seals } = await sealed();
    const { block, hash } = (await verifier.head())!;
    await tamper(
      `UPDATE queue_task_events SET actor = 'nobody' WHERE actor = 'user-3'; DELETE FROM queue_ledger_seals`,
    );
    await sealAll(seals, 2);
    expect(await verifier.verify()).toMatchObject({ valid: true });
    expect(await verifier.verify({ kept: { block, hash } })).toMatchObject({
      ...{ valid: false, first_broken: { block, reason: 'head_differs' } },
    });
    expect(await verifier.verify({ kept: { block: 99, hash } })).toMatchObject({
      first_broken: { block: 99, reason: 'head_differs' },
    });
  });

  it.each(['UPDATE queue_ledger_seals SET rows = 0', 'DELETE FROM queue_ledger_seals', 'TRUNCATE queue_ledger_seals'])(
    'is append-only: %s',
    async (sql) => {
      const hand = await fixture.hand('ada');
      await expect(hand.query(sql)).rejects.toMatchObject({ code: 'TP003' });
    },
  );
});

describe('retention', () => {
  it('drops whole weeks, says so in the ledger, and keeps their seals checkable', async () => {
    const { api, seals, retention, verifier } = await setup();
    await history(3, 3);
    await history(2, 3);
    await api.queue.enqueue(aTask());
    await sealAll(seals, 4);
    const before = new Date(Date.now() - 8 * 86_400_000);
    const [{ week }] = (await fixture.query('SELECT queue_ledger_week($1) AS week', [before])) as [{ week: string }];
    const dropped = (await retention.ledger(before, 'pruner:me'))!;
    expect(dropped).toBeGreaterThanOrEqual(1);
    await sealAll(seals, 4);
    const [note] = await fixture.query(`SELECT actor, detail FROM queue_task_events WHERE cause = 'ledger_pruned'`);
    expect(note).toMatchObject({ actor: 'pruner:me', detail: { before: week, partitions: expect.any(Array) } });
    const checked = await verifier.verify();
    expect(checked).toMatchObject({ valid: true, removed_before: week, checked: { rows_removed: 3 * dropped } });
    expect(await retention.ledger(before, 'pruner:me')).toBe(0);
    // What is kept is proved as before, also in a block that has lost a part.
    await tamper(`UPDATE queue_task_events SET actor = 'nobody' WHERE kind = 'transition'`);
    expect(await verifier.verify()).toMatchObject({ valid: false, first_broken: { reason: 'changed_row' } });
  });

  it('takes nothing that is not sealed yet, and nothing of this week', async () => {
    const { retention, seals } = await setup();
    await history(5, 1);
    await expect(retention.ledger(new Date(), 'ada')).rejects.toMatchObject({ code: 'TP004' });
    await sealAll(seals, 4);
    expect(await retention.ledger(new Date(Date.now() + 30 * 86_400_000), 'ada')).toBeGreaterThanOrEqual(1);
    const weeks = await fixture.query('SELECT week = queue_ledger_week(now()) AS current FROM queue_ledger_weeks()');
    expect(weeks.filter(({ current }) => current)).toHaveLength(1);
  });

  it('takes nothing that webhooks have not been told of, whoever asks for it', async () => {
    const { retention, seals, verifier } = await setup();
    await history(4, 2);
    await sealAll(seals, 4);
    const hand = await fixture.hand('ada');
    const [last] = await fixture.query('SELECT xid::text AS xid, id FROM queue_task_events ORDER BY xid DESC, id DESC');
    const cursor = 'UPDATE webhook_cursor SET following = $3, xid = $1::xid8, id = $2';
    try {
      await fixture.query(cursor, [last!.xid, Number(last!.id) - 1, true]);
      await expect(retention.ledger(new Date(), 'pruner:me')).rejects.toMatchObject({ code: 'TP004' });
      await expect(hand.query(`SELECT queue_prune_ledger(now(), 'ada')`)).rejects.toMatchObject({
        code: 'TP004',
        message: expect.stringMatching(/^webhooks have not been told of the ledger before \d{4}-\d\d-\d\d yet$/),
      });
      // One that nobody follows yet begins where it was made.
      await fixture.query(cursor, ['0', 0, false]);
      await fixture.query(
        `INSERT INTO webhooks (url, events, secret, begins_at) VALUES ('http://x', '{*}', 's', '3:3:')`,
      );
      await expect(retention.ledger(new Date(), 'pruner:me')).rejects.toMatchObject({ code: 'TP004' });
      await fixture.query('UPDATE webhooks SET begins_at = pg_current_snapshot()');
      expect(await retention.ledger(new Date(), 'pruner:me')).toBeGreaterThanOrEqual(1);
    } finally {
      await fixture.query(cursor, ['0', 0, false]);
    }
    // Before the note of it is sealed, too.
    expect(await verifier.verify()).toMatchObject({ valid: true, removed_before: expect.any(String) });
  });

  it('goes on with what lies in the default partition, and says up to where rows are gone', async () => {
    const { retention, seals, verifier } = await setup();
    for (const weeks of [20, 21, 22, 23, 24, 25]) await history(weeks, 2);
    await fixture.query(
      `INSERT INTO queue_task_events (kind, actor, cause, at) VALUES ('operator', 'ada', 'noted', now() - interval '60 days')`,
    );
    await sealAll(seals, 4);
    const last = `SELECT xid::text AS xid, id FROM queue_task_events WHERE cause = 'noted' ORDER BY xid DESC, id DESC LIMIT 1`;
    const [place] = await fixture.query(last);
    const dropped: (number | undefined)[] = [];
    do dropped.push(await retention.ledger(new Date(), 'pruner:me'));
    while (dropped.at(-1) !== 0);
    expect(dropped.slice(0, -2).reduce((sum: number, n) => sum + n!, 0)).toBeGreaterThanOrEqual(6);
    expect(Math.max(...dropped.map(Number))).toBeLessThanOrEqual(4);
    expect(await fixture.query(last)).toEqual([]);
    expect(await fixture.query('SELECT xid::text AS xid, id FROM queue_ledger_removed')).toEqual([place]);
    await expect(
      fixture.query(`UPDATE queue_ledger_removed SET before = before + interval '7 days'`),
    ).rejects.toMatchObject({ code: 'TP003', message: expect.stringContaining('is kept from') });
    await sealAll(seals, 4);
    expect(await verifier.verify()).toMatchObject({ valid: true, checked: { rows_removed: 13 } });
    await expect(fixture.query(`UPDATE queue_ledger_removed SET id = 0`)).rejects.toMatchObject({ code: 'TP003' });
  });

  it('deletes of what lies in the default partition the oldest first, some at a time, and says so once', async () => {
    const { retention, seals, verifier } = await setup();
    while ((await retention.ledger(new Date(), 'pruner:me'))! > 0);
    await fixture.query(
      `INSERT INTO queue_task_events (kind, actor, cause, at)
       SELECT 'operator', 'ada', 'noted', now() - interval '40 days' - n * interval '1 minute' FROM generate_series(1, 4500) n`,
    );
    while ((await seals.seal(1_000)) > 0);
    await sealAll(seals, 1_000);
    const rest = async () =>
      (await fixture.query(`SELECT count(*)::int AS n FROM queue_task_events WHERE cause = 'noted'`))[0]!;
    for (const left of [2_500, 500]) {
      expect(await retention.ledger(new Date(), 'pruner:me')).toBe(1);
      expect(await rest()).toMatchObject({ n: left });
      expect(await verifier.verify()).toMatchObject({ valid: true, checked: { rows_removed: 4_500 - left } });
    }
    expect(await retention.ledger(new Date(), 'pruner:me')).toBe(1);
    expect(await retention.ledger(new Date(), 'pruner:me')).toBe(0);
    expect(await rest()).toMatchObject({ n: 0 });
    const notes = await fixture.query(`SELECT detail FROM queue_task_events WHERE cause = 'ledger_pruned'`);
    expect(notes.filter(({ detail }) => (detail as { partitions: string[] }).partitions.length === 0)).toHaveLength(1);
  });

  it('waits behind nobody for long, and lets nobody wait', async () => {
    const { retention, seals, api } = await setup();
    await history(6, 1);
    await sealAll(seals, 4);
    const reader = await fixture.hand();
    await reader.query('BEGIN; SELECT FROM queue_task_events LIMIT 1');
    await expect(retention.ledger(new Date(), 'pruner:me')).rejects.toMatchObject({ code: '55P03' });
    await api.queue.enqueue(aTask());
    await reader.query('COMMIT');
    expect(await retention.ledger(new Date(), 'pruner:me')).toBeGreaterThanOrEqual(1);
  });

  it('is no excuse for a row taken out of a week that is kept', async () => {
    const { verifier } = await sealed();
    await fixture.query(
      `INSERT INTO queue_task_events (kind, actor, cause, detail)
       VALUES ('operator', 'mallory', 'ledger_pruned', '{"before": "2999-01-04"}')`,
    );
    const hand = await fixture.hand('mallory');
    await expect(hand.query('DELETE FROM queue_task_events')).rejects.toMatchObject({ code: 'TP003' });
    await tamper(`DELETE FROM queue_task_events WHERE id = ${rows(3)}`);
    expect(await verifier.verify()).toMatchObject({ valid: false, first_broken: { block: 2, reason: 'missing_row' } });
  });
});
