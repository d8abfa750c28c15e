import type { EventFollower, FollowedPage } from '../queue/events/event-follower.js';
import { LedgerRemovedError, type LedgerEvent } from '../queue/store/ledger-reader.js';
import { recordLogs } from '../../test/support/queue-doubles.js';
import { EventStreamService } from './event-stream.service.js';

const at = (id: number) => ({ xid: '5', id: String(id) });
const event = (id: number, appName = 'shop') =>
  ({
    type: 'task.started',
    id: String(id),
    taskId: 't',
    kind: 'transition',
    appName,
    at: new Date(0),
    cursor: at(id),
  }) as LedgerEvent;
const page = (ids: readonly number[], live: boolean, end = ids.at(-1) ?? 0): FollowedPage => ({
  events: ids.map((id) => event(id)),
  end: at(end),
  live,
});

function setup(pages: FollowedPage[]) {
  const gone = new AbortController();
  const next = jest.fn(async () => {
    const found = pages.shift();
    if (!found) gone.abort();
    return found ?? page([], true);
  });
  const now = async () => ({ xid: '9', id: '0' });
  const removed = jest.fn<Promise<{ xid: string; id: string } | undefined>, []>(async () => undefined);
  const subject = new EventStreamService({ next, now, removed } as unknown as EventFollower);
  const read = async (filter = {}) => {
    let text = '';
    for await (const piece of subject.produce(filter, at(0), gone.signal)) text += piece.toString();
    return text;
  };
  return { subject, next, read, removed };
}
const ids = (text: string) => [...text.matchAll(/^id: (.*)\ndata/gm)].map(([, id]) => id);

describe('EventStreamService', () => {
  it('begins with how to come back, then tells events behind each other', async () => {
    const { read } = setup([page([1, 2], false), page([3], true)]);
    const text = await read();
    expect(text).toMatch(/^retry: 1000\n\nid: 5-0\n\nid: 5-1\ndata: \{"type":"task.started"/);
    expect(ids(text)).toEqual(['5-1', '5-2', '5-3']);
  });

  it('leaves out what the reader does not ask for', async () => {
    const { read } = setup([{ ...page([], true, 2), events: [event(1, 'forum'), event(2)] }]);
    expect(ids(await read({ appName: 'shop' }))).toEqual(['5-2']);
  });

  it('says where the reader is when nothing was said for a while', async () => {
    const clock = jest.spyOn(performance, 'now').mockReturnValue(0);
    const { read, next } = setup([page([], true, 7)]);
    next.mockImplementationOnce(async () => {
      clock.mockReturnValue(15_000);
      return page([], true, 7);
    });
    expect(await read()).toContain('id: 5-7\n\n:\n\n');
    clock.mockRestore();
  });

  it('ends for a reader who had caught up and has fallen behind again', async () => {
    const logs = recordLogs();
    const { read, next } = setup([page([1], true), page([2, 3], false), page([4], true)]);
    expect(ids(await read())).toEqual(['5-1']);
    expect(next).toHaveBeenCalledTimes(2);
    expect(logs).toMatchObject([{ msg: 'A reader of events is too slow and was cut off' }]);
    jest.restoreAllMocks();
  });

  it('refuses to go on behind what has not happened', async () => {
    const { subject } = setup([]);
    expect(await subject.begin(undefined)).toEqual({ xid: '9', id: '0' });
    expect(await subject.begin(at(3))).toEqual(at(3));
    await expect(subject.begin({ xid: '10', id: '0' })).rejects.toMatchObject({ code: 'invalid_parameter' });
  });

  it('refuses to go on where events are gone, and says how to go on with those that are left', async () => {
    const { subject, removed } = setup([]);
    removed.mockResolvedValue(at(3));
    await expect(subject.begin(at(2))).rejects.toMatchObject({
      ...{ code: 'events_removed', status: 410 },
      errors: [{ path: 'Last-Event-ID', hint: expect.stringContaining("'5-3'") }],
    });
    expect(await subject.begin(at(3))).toEqual(at(3));
    expect(await subject.begin({ ...at(3), told: '2' })).toEqual({ ...at(3), told: '2' });
    expect(await subject.begin(undefined)).toEqual({ xid: '9', id: '0' });
  });

  it('ends where retention has overtaken the reader', async () => {
    const logs = recordLogs();
    const { read, next } = setup([page([1], false)]);
    next.mockResolvedValueOnce(page([1], false)).mockRejectedValueOnce(new LedgerRemovedError(at(7)));
    expect(ids(await read())).toEqual(['5-1']);
    expect(logs).toMatchObject([{ level: 'warn' }]);
    jest.restoreAllMocks();
  });
});
