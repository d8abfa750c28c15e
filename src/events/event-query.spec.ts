import type { LedgerEvent } from '../queue/store/ledger-reader.js';
import { passes, readEventCursor, readEventQuery } from './event-query.js';

const event = { type: 'task.failed', appName: 'shop', workflowName: 'w' } as LedgerEvent;
const problems = (work: () => unknown): { path: string; hint?: string }[] => {
  try {
    work();
  } catch (error) {
    return (error as { errors: { path: string; hint?: string }[] }).errors;
  }
  return [];
};

describe('the query of the stream', () => {
  it('is read into a filter', () => {
    expect(readEventQuery({})).toEqual({});
    expect(readEventQuery({ app_name: 'shop', workflow_name: 'w', type: 'task.failed,task.completed' })).toEqual({
      ...{ appName: 'shop', workflowName: 'w', types: ['task.failed', 'task.completed'] },
    });
  });

  it('names all that is wrong, with hints', () => {
    expect(problems(() => readEventQuery({ app_name: '', type: 'failed,task.compelted,x', q: '1' }))).toEqual([
      expect.objectContaining({ path: 'q' }),
      expect.objectContaining({ path: 'app_name' }),
      expect.objectContaining({ path: 'type', hint: `Did you mean 'task.failed'?` }),
      expect.objectContaining({ path: 'type', hint: `Did you mean 'task.completed'?` }),
      expect.objectContaining({ path: 'type', hint: expect.stringContaining('Known: task.enqueued, ') }),
    ]);
  });

  it('lets through what fits in all', () => {
    expect(passes({}, event)).toBe(true);
    expect(passes({ appName: 'shop', workflowName: 'w', types: ['task.failed'] }, event)).toBe(true);
    expect(passes({ appName: 'forum' }, event)).toBe(false);
    expect(passes({ workflowName: 'v' }, event)).toBe(false);
    expect(passes({ types: ['task.started'] }, event)).toBe(false);
  });

  it('goes on behind an id that was given out', () => {
    expect(readEventCursor(undefined)).toBeUndefined();
    expect(readEventCursor('')).toBeUndefined();
    expect(readEventCursor('8-15')).toEqual({ xid: '8', id: '15' });
    expect(problems(() => readEventCursor('8'))).toMatchObject([{ path: 'Last-Event-ID' }]);
  });
});
