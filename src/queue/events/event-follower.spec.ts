import { setMaxListeners } from 'node:events';
import { LedgerRemovedError, type LedgerReader, type LedgerEvent } from '../store/ledger-reader.js';
import type { LedgerCursor } from './ledger-cursor.js';
import type { WakeUp, WakeUps } from '../workers/wake-ups.js';
import { advance, mockSleep, recordLogs, useFakeTime } from '../../../test/support/queue-doubles.js';

mockSleep();
const { EventFollower } = await import('./event-follower.js');

const at = (id: number): LedgerCursor => ({ xid: '5', id: String(id) });
/** Of readers who stay until the test makes them leave, or ends. */
let here = new AbortController();

/** A ledger to which `add` adds events; `page` and `now` read it as the database would. */
function setup() {
  const events: LedgerEvent[] = [];
  let last = 0;
  const page = jest.fn(async ({ id }: { id: string }) => {
    const found = events.filter((event) => Number(event.id) > Number(id)).slice(0, 500);
    const end = found.length === 500 ? Number(found.at(-1)!.id) : last;
    return { events: found, end: at(end), last: found.length < 500 };
  });
  const now = jest.fn(async () => at(last));
  let hear: (wakeUp: WakeUp) => void = () => undefined;
  const ensureListening = jest.fn(async () => undefined);
  const wakeUps = { onWakeUp: (listener: typeof hear) => void (hear = listener), ensureListening };
  const subject = new EventFollower({ page, now } as unknown as LedgerReader, wakeUps as unknown as WakeUps);
  subject.onModuleInit();
  const add = (count: number) => {
    for (let n = 0; n < count; n++) events.push({ id: String(++last), cursor: at(last) } as LedgerEvent);
  };
  const next = async (after: LedgerCursor, atMostMs = 15_000, gone = here.signal) => {
    const found = await subject.next(after, atMostMs, gone);
    return { ids: found.events.map(({ id }) => Number(id)), end: found.end, live: found.live };
  };
  return { page, now, add, next, ensureListening, hear: (wakeUp: WakeUp) => hear(wakeUp) };
}

describe('EventFollower', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    jest.setSystemTime(0);
    here = new AbortController();
    setMaxListeners(100, here.signal);
    logs = recordLogs();
  });
  beforeEach(() => advance(10_000));
  afterEach(async () => {
    here.abort();
    await advance(1_000);
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('tells all who wait of what comes, with one look', async () => {
    const { next, add, page } = setup();
    const readers = [next(at(0)), next(at(0)), next(at(0))];
    await advance();
    add(2);
    await advance(100);
    for (const reader of readers) expect(await reader).toEqual({ ids: [1, 2], end: at(2), live: true });
    expect(page).toHaveBeenCalledTimes(1);
  });

  it('goes on between events that are told at one place', async () => {
    const { next, add, page } = setup();
    const reader = next(at(0));
    await advance();
    add(2);
    const events = [{ ...at(1), told: '1' }, { ...at(1), told: '2' }, at(1)].map(
      (cursor, n) => ({ id: String(n + 1), cursor }) as LedgerEvent,
    );
    page.mockResolvedValueOnce({ events, end: at(2), last: true });
    await advance(100);
    expect((await reader).ids).toEqual([1, 2, 3]);
    const looks = page.mock.calls.length;
    expect(await next({ ...at(1), told: '1' })).toMatchObject({ ids: [2, 3], live: true });
    expect(await next({ ...at(1), told: '2' })).toMatchObject({ ids: [3], live: true });
    expect(page.mock.calls.length).toBe(looks);
  });

  it('goes on looking for a slow reader who is busy with what it has, and loses nothing by that', async () => {
    const { next, add } = setup();
    const gone = new AbortController();
    const first = next(at(0), 15_000, gone.signal);
    await advance();
    add(1);
    await advance(100);
    await first;
    add(3);
    await advance(29_000);
    add(1);
    await advance(200);
    expect(await next(at(1), 15_000, gone.signal)).toEqual({ ids: [2, 3, 4, 5], end: at(5), live: true });
  });

  it('ends the wait of whoever wants what retention has removed', async () => {
    const { next, page, now } = setup();
    now.mockResolvedValue(at(9));
    page.mockRejectedValueOnce(new LedgerRemovedError(at(5)));
    await expect(next(at(0))).rejects.toMatchObject({ upTo: at(5) });
    expect(logs).toEqual([]);
  });

  it('looks at once when it is woken, and otherwise after 100 ms', async () => {
    const { next, add, page, hear } = setup();
    const reader = next(at(0));
    await advance();
    add(1);
    hear('ready');
    await advance(20);
    await advance();
    expect(page).toHaveBeenCalledTimes(1);
    expect((await reader).ids).toEqual([1]);
  });

  it('keeps events for whoever comes for them a little later', async () => {
    const { next, add, page } = setup();
    const reader = next(at(0));
    await advance();
    add(3);
    await advance(100);
    await reader;
    expect(await next(at(1))).toEqual({ ids: [2, 3], end: at(3), live: true });
    expect(page).toHaveBeenCalledTimes(1);
  });

  it('lets whoever is far behind read pages of its own', async () => {
    const { next, add } = setup();
    add(700);
    expect(await next(at(0))).toMatchObject({ end: at(500), live: false });
    expect(await next(at(500))).toMatchObject({ end: at(700), live: false });
  });

  it('keeps no more than there is room for: the slowest are not live any more', async () => {
    const { next, add } = setup();
    const quick = async () => {
      for (let end = at(0); end.id !== '6000';) ({ end } = await next(end));
    };
    const reading = quick();
    await advance();
    add(6_000);
    await advance(2_000);
    await reading;
    expect((await next(at(0))).live).toBe(false);
    expect(await next(at(5_900))).toMatchObject({ live: true, end: at(6_000) });
  });

  it('says where the reader is when nothing comes, and stops when the reader goes', async () => {
    const { next, page } = setup();
    const gone = new AbortController();
    const patient = next(at(0), 1_000);
    const leaving = next(at(0), 15_000, gone.signal);
    await advance();
    gone.abort();
    expect((await leaving).ids).toEqual([]);
    await advance(1_000);
    expect(await patient).toEqual({ ids: [], end: at(0), live: true });
    here.abort();
    const looks = page.mock.calls.length;
    await advance(60_000);
    expect(page.mock.calls.length - looks).toBeLessThanOrEqual(1);
  });

  it('begins anew at the end of the ledger after a while in which nobody read', async () => {
    const { next, add, now } = setup();
    await advance(0);
    const first = next(at(0));
    await advance();
    add(1);
    await advance(100);
    await first;
    here.abort();
    await advance(10_000);
    here = new AbortController();
    add(1);
    expect(await next(at(1))).toMatchObject({ ids: [2], live: false });
    expect(now).toHaveBeenCalledTimes(2);
  });

  it('waits for a database that is away, says so once, and goes on', async () => {
    const { next, add, page } = setup();
    const reader = next(at(0), 60_000);
    await advance();
    page.mockRejectedValueOnce(new Error('away')).mockRejectedValueOnce(new Error('away'));
    add(1);
    await advance(1_000);
    expect((await reader).ids).toEqual([1]);
    expect(logs).toEqual([
      { level: 'warn', msg: 'Readers of events have to wait: the database does not answer', error: 'Error: away' },
      { level: 'log', msg: 'Readers of events are served again' },
    ]);
  });
});
