import type { QueueDatabase } from './queue-database.js';
import { decodeLedgerCursor, encodeLedgerCursor, type LedgerCursor } from '../events/ledger-cursor.js';
import { LedgerReader, type LedgerEvent } from './ledger-reader.js';

type Made = [xid: number, id: number, task: string | null];

/**
 * A ledger of these entries, in the order (xid, id); transactions from `horizon` on are open, and retention has removed what
 * lies up to `removed`. A page has 500 rows, as the reader knows.
 */
function setup(entries: readonly Made[], { horizon = 1_000, removed = null as string | null } = {}) {
  const rows = entries.map(([xid, id, task]) => ({
    ...{ horizon: String(horizon), removed_xid: removed, removed_id: removed && '7' },
    ...{ xid: String(xid), id: String(id), task_id: task, kind: 'operator', at: new Date(0) },
  }));
  type Made = (typeof rows)[number];
  const byId = (task: string) =>
    rows.filter(({ task_id }) => task_id === task).sort((one, other) => Number(one.id) - Number(other.id));
  const mixed = ({ task_id: task }: Made) =>
    task !== null && byId(task).some(({ xid }, n, own) => n > 0 && Number(xid) < Number(own[n - 1]!.xid));
  const isFrom = (row: Made, xid: string, id: string) =>
    Number(row.xid) > Number(xid) || (Number(row.xid) === Number(xid) && Number(row.id) >= Number(id));
  const gone = new Set<string>();
  const run = jest.fn(async ({ name }: { name: string }, values: unknown[]) => {
    if (name === 'queue_places_of_tasks') {
      return (values[0] as string[]).flatMap(byId).map((row) => ({ xid: row.xid, id: row.id, task_id: row.task_id }));
    }
    if (name === 'queue_events_of_tasks') {
      return (values[0] as string[])
        .flatMap(byId)
        .filter(({ id }) => (values[1] as string[]).includes(id) && !gone.has(id));
    }
    if (name === 'queue_ledger_removed') return [{ xid: '6', id: '3' }];
    const [xid, id] = values as string[];
    const found = rows.filter((row) => isFrom(row, xid!, id!) && Number(row.xid) < horizon).slice(0, 500);
    const none = { horizon: String(horizon), removed_xid: removed, removed_id: removed && '7', xid: null };
    return found.length > 0 ? found.map((row) => ({ ...row, mixed: mixed(row) })) : [none];
  });
  return Object.assign(new LedgerReader({ run } as unknown as QueueDatabase), { run, gone });
}

/** All that is told from there on, page by page. */
async function all(reader: LedgerReader, from: LedgerCursor): Promise<LedgerEvent[]> {
  const told: LedgerEvent[] = [];
  for (let page = await reader.page(from); ; page = await reader.page(page.end)) {
    told.push(...page.events);
    if (page.last) return told;
  }
}

const START = { xid: '0', id: '0' };

describe('LedgerReader', () => {
  it('ends at the horizon when it has told everything before it', async () => {
    const page = await setup([
      [5, 1, 'a'],
      [6, 2, 'b'],
    ]).page(START);
    expect(page).toMatchObject({ last: true, end: { xid: '1000', id: '0' } });
    expect(page.events.map(({ cursor }) => cursor)).toEqual([
      { xid: '5', id: '1' },
      { xid: '6', id: '2' },
    ]);
  });

  it('never goes back, though the horizon does: somebody asks a standby', async () => {
    const after = { xid: '2000', id: '0' };
    expect((await setup([]).page(after)).end).toEqual(after);
  });

  it('leaves out what concerns no task', async () => {
    const { events } = await setup([
      [5, 1, null],
      [6, 2, 'b'],
    ]).page(START);
    expect(events.map(({ id }) => id)).toEqual(['2']);
  });

  // Somebody's transaction 5 has changed task a late, behind transactions 6 and 7.
  const late: Made[] = [
    [5, 9, 'a'],
    [6, 2, 'b'],
    [6, 3, 'a'],
    [7, 4, 'a'],
    [7, 5, null],
    [8, 6, 'b'],
  ];

  const names = (events: readonly LedgerEvent[]) => events.map(({ taskId, id }) => `${taskId}${id}`);

  it('tells the events of a task in their order, whatever the order of their transactions', async () => {
    expect(names(await all(setup(late), START))).toEqual(['b2', 'a3', 'a4', 'a9', 'b6']);
  });

  it('goes on behind any event without a gap or a double', async () => {
    const reader = setup(late);
    const events = await all(reader, START);
    for (const [n, { cursor }] of events.entries()) {
      expect(names(await all(reader, cursor))).toEqual(names(events.slice(n + 1)));
      expect(decodeLedgerCursor(encodeLedgerCursor(cursor))).toEqual(cursor);
    }
  });

  it('does not tell a late change before those that it came after, though their transactions may be told later', async () => {
    // 6 is still open.
    const { events, end } = await setup(late, { horizon: 6 }).page(START);
    expect(names(events)).toEqual([]);
    expect(names(await all(setup(late), end))).toEqual(['b2', 'a3', 'a4', 'a9', 'b6']);
  });

  it('keeps to that over pages of any distance', async () => {
    const between: Made[] = Array.from({ length: 1_700 }, (_, n) => [10 + n, 100 + n, n % 7 === 0 ? null : `t${n}`]);
    // Two late changes of one task; between the changes that they waited for lie some pages.
    const entries: Made[] = [
      [5, 9_000, 'a'],
      [5, 9_001, 'a'],
      [6, 50, 'a'],
      ...between,
      [2_000, 8_000, 'a'],
      [2_001, 9_500, 'a'],
    ];
    const reader = setup(entries, { horizon: 5_000 });
    const events = await all(reader, START);
    expect(new Set(names(events)).size).toBe(events.length);
    expect(events).toHaveLength(entries.filter(([, , task]) => task !== null).length);
    expect(events.filter(({ taskId }) => taskId === 'a').map(({ id }) => id)).toEqual([
      ...['50', '8000', '9000', '9001', '9500'],
    ]);
    for (const n of [0, 1, 499, 500, events.length - 4, events.length - 3, events.length - 2, events.length - 1]) {
      expect(names(await all(reader, events[n]!.cursor))).toEqual(names(events.slice(n + 1)));
    }
  });

  it('reads of a task with many events whole only those that are told', async () => {
    const many: Made[] = Array.from({ length: 550 }, (_, n) => [10 + n, 100 + n, 'a']);
    const reader = setup([[5, 9_000, 'a'], ...many], { horizon: 9_000 });
    const { events } = await reader.page({ xid: '20', id: '0' });
    expect(events.map(({ id }) => Number(id))).toEqual(Array.from({ length: 500 }, (_, n) => 110 + n));
    expect(reader.run.mock.calls.filter(([{ name }]) => name === 'queue_events_of_tasks')).toEqual([]);
    const lately = setup([
      [5, 50, 'a'],
      [7, 10, 'a'],
      [7, 20, 'a'],
      [9, 30, 'a'],
    ]);
    expect(names((await lately.page({ xid: '9', id: '0' })).events)).toEqual(['a30', 'a50']);
    const whole = lately.run.mock.calls.filter(([{ name }]) => name === 'queue_events_of_tasks');
    expect(whole.map(([, values]) => values)).toEqual([[['a'], ['50']]]);
  });

  it('says so where retention removes entries while it reads', async () => {
    const reader = setup([
      [5, 50, 'a'],
      [9, 30, 'a'],
    ]);
    reader.gone.add('50');
    await expect(reader.page({ xid: '9', id: '0' })).rejects.toMatchObject({ upTo: { xid: '6', id: '3' } });
  });

  it('does not pass over what retention has removed', async () => {
    const reader = setup(late, { removed: '5' });
    await expect(reader.page(START)).rejects.toMatchObject({ upTo: { xid: '5', id: '7' } });
    expect((await reader.page({ xid: '5', id: '7' })).events).not.toEqual([]);
    expect((await reader.page({ xid: '5', id: '7', told: '3' })).events).not.toEqual([]);
  });
});
