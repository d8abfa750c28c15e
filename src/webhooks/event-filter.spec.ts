import type { LedgerEvent } from '../queue/store/ledger-reader.js';
import { wants } from './event-filter.js';

describe('a filter', () => {
  const event = { type: 'task.failed', appName: 'shop', xid: '7' } as LedgerEvent;
  const all = { events: ['*'], apps: null, beginsAt: '7:7:' };

  it.each([
    [all, event, true],
    [{ ...all, events: ['task.failed', 'task.completed'] }, event, true],
    [{ ...all, events: ['task.completed'] }, event, false],
    [{ ...all, apps: ['forum', 'sh*'] }, event, true],
    [{ ...all, apps: ['forum'] }, event, false],
    [{ ...all, apps: ['forum'] }, { ...event, appName: null }, false],
    [{ ...all, beginsAt: '8:8:' }, event, false],
    [{ ...all, beginsAt: '5:8:5,6' }, event, false],
    [{ ...all, beginsAt: '5:8:5,7' }, event, true],
  ])('%j', (filter, given, wanted) => expect(wants(filter, given)).toBe(wanted));
});
