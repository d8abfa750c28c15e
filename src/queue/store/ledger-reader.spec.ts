import type { QueueDatabase } from './queue-database.js';
import { LedgerReader } from './ledger-reader.js';

type Made = [xid: number, id: number, task: string | null];

/** A ledger of these entries, in the order (xid, id); transactions from `horizon` on are open. */
function setup(entries: readonly Made[], horizon = 1_000, pageRows = 500) {
  const rows = entries.map(([xid, id, task]) => ({
    ...{ horizon: String(horizon), xid: String(xid), id: String(id), task_id: task, kind: 'operator', at: new Date(0) },
  }));
  const isAfter = (row: { xid: string; id: string }, xid: string, id: string) =>
    Number(row.xid) > Number(xid) || (Number(row.xid) === Number(xid) && Number(row.id) > Number(id));
  const run = async (_: unknown, [xid, id, toXid, toId]: string[]) => {
    const found = rows.filter(
      (row) => isAfter(row, xid!, id!) && (toXid == null || !isAfter(row, toXid, toId!)) && Number(row.xid) < horizon,
    );
    return found.length > 0 ? found.slice(0, pageRows) : [{ horizon: String(horizon), xid: null }];
  };
  return new LedgerReader({ run } as unknown as QueueDatabase);
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

  it('tells the events of a task in their order, whatever the order of their transactions', async () => {
    const { events } = await setup(late).page(START);
    expect(events.map(({ taskId, id }) => `${taskId}${id}`)).toEqual(['a3', 'b2', 'a4', 'a9', 'b6']);
  });

  it('goes on behind any event of such a page without a gap or a double', async () => {
    const reader = setup(late);
    const { events } = await reader.page(START);
    const ids = events.map(({ id }) => id);
    for (const [n, { cursor }] of events.entries()) {
      const rest: string[] = [];
      for (let page = await reader.page(cursor); ; page = await reader.page(page.end)) {
        rest.push(...page.events.map(({ id }) => id));
        if (page.last) break;
      }
      expect(rest).toEqual(ids.slice(n + 1));
    }
  });
});
