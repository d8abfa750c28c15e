import { readFileSync } from 'node:fs';
import { LEGAL_TRANSITIONS, TASK_STATUSES } from '../task-status.js';
import { EVENT_TYPES, eventTypeOf, type LedgerChange } from './event-types.js';

const STEP_STATUSES = ['pending', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled'];
const change = (kind: LedgerChange['kind'], fromStatus: string | null, toStatus: string | null): LedgerChange => ({
  ...{ kind, taskId: 'task-1', fromStatus, toStatus },
});

describe('the types of events', () => {
  const changes = [
    change('transition', null, 'pending'),
    change('transition', null, 'scheduled'),
    ...TASK_STATUSES.flatMap((from) => LEGAL_TRANSITIONS[from].map((to) => change('transition', from, to))),
    ...STEP_STATUSES.map((status) => change('step', 'running', status)),
    change('operator', null, null),
  ];

  it('are those of docs/events.md, in that order', () => {
    const text = readFileSync(new URL('../../../docs/events.md', import.meta.url), 'utf8');
    const [table] = text.split('## An event');
    expect([...table!.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, type]) => type)).toEqual([...EVENT_TYPES]);
  });

  it('are there for every legal change, and each for one at least', () => {
    const types = changes.map(eventTypeOf);
    expect(types).not.toContain(undefined);
    expect([...new Set(types)].sort()).toEqual([...EVENT_TYPES].sort());
  });

  it.each([
    [null, 'scheduled', 'task.enqueued'],
    ['pending', 'running', 'task.started'],
    ['running', 'pending', 'task.handed_back'],
    ['waiting', 'pending', 'task.resumed'],
    ['retrying', 'pending', 'task.due'],
    ['failed', 'pending', 'task.redriven'],
    ['waiting', 'cancelled', 'task.cancelled'],
  ])('of %s → %s is %s (%s)', (from, to, type) => {
    expect(eventTypeOf(change('transition', from, to))).toBe(type);
  });

  it('leave out what concerns no task', () => {
    expect(eventTypeOf({ ...change('operator', null, null), taskId: null })).toBeUndefined();
  });
});
