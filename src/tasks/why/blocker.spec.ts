import type { QueueTaskDecision, QueueTaskStep } from '../../queue/queue-task-records.entity.js';
import type { Line } from '../../queue/store/line-store.js';
import { blockerOf, type Standing } from './blocker.js';

const NOW = new Date('2026-01-31T12:00:00Z');
const LINE: Line = {
  ...{ now: NOW, ready: true, before: 0, blocked: null, leased_to: null, due_at: null, key: null, slots: null },
  ...{ holders: null, before_for_key: null, pause: null, instances: 1, workers: 4, busy: 0 },
};
const TASK: Standing['task'] = { status: 'pending', runAt: NOW, attempt: 1, errorMessage: null, crashes: 0 };
const PAUSE = { app_name: null, workflow_name: null, by: 'ada', reason: null, since: '2026-01-31T11:00:00Z' };

const blocker = (line: Partial<Line> = {}, task: Partial<Standing['task']> = {}, rest: Partial<Standing> = {}) =>
  blockerOf({ task: { ...TASK, ...task }, line: { ...LINE, ...line }, steps: [], decisions: [], ...rest });

describe('what a pending task waits for', () => {
  it.each([
    ['its turn', {}, 'next', /next/],
    ['one before it', { before: 1 }, 'ready', /^one task is taken before it by 4 free workers/],
    ['many before it', { before: 10_000 }, 'ready', /^more than 10000 tasks/],
    ['a worker', { busy: 4 }, 'all_busy', /4 of 4/],
    ['anybody', { workers: 0 }, 'no_live_worker', /no living instance/],
    ['the instance that has it', { leased_to: 'i-1' }, 'taken', /i-1/],
    ['the end of a pause', { pause: PAUSE, workers: 0 }, 'paused', /^the queue is paused by ada since .*Z$/],
    ['that of its workflow', { pause: { ...PAUSE, workflow_name: 'w', reason: 'r' } }, 'paused', /workflow 'w' .*: r$/],
    [
      'its key',
      { blocked: 'key', key: 'k', slots: 2, holders: ['a', 'b'], before_for_key: 3 },
      'key_held',
      /a, b; 3 more/,
    ],
    ['its key, free by now', { blocked: 'key', key: 'k', slots: 1 }, 'key_held', /by tasks that wait before it$/],
  ] as [string, Partial<Line>, string, RegExp][])('is %s', (_, line, code, message) => {
    expect(blocker(line)).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

it('begins alone where it has cost crashes', () => {
  const { code, message } = blocker({ leased_to: 'i-1' }, { crashes: 2 });
  expect(code).toBe('taken');
  expect(message).toBe(
    'instance i-1 has it, and begins it when nothing else runs there, or has not ended for a while: it has cost 2 crashes',
  );
});

it.each([
  ['scheduled', {}, /may not run before 2026-01-31T13/],
  ['retrying', { errorMessage: 'no route' }, /tried again at .* after attempt 1 failed after: no route$/],
] as const)('a %s task waits for its time', (status, task, message) => {
  const at = new Date('2026-01-31T13:00:00Z');
  expect(blocker({ due_at: at }, { status, ...task })).toMatchObject({ code: 'due_at', run_at: at });
  expect(blocker({ due_at: at }, { status, ...task }).message).toMatch(message);
});

describe('a waiting task', () => {
  const step = (name: string, waitsFor: object | null = { count: 2, approvers: ['bob'], message: 'Ship it?' }) =>
    ({ name, status: 'waiting', startedAt: NOW, deadline: null, waitsFor }) as unknown as QueueTaskStep;
  const said = (at: number, decision = 'approve', of = 'ask') =>
    ({ step: of, decision, at: new Date(NOW.getTime() + at) }) as QueueTaskDecision;

  it('names the step, the people, and how many have approved since it began to wait', () => {
    const decisions = [said(-1), said(1), said(2, 'reject'), said(3, 'approve', 'other')];
    expect(blocker({}, { status: 'waiting' }, { steps: [step('ask'), step('other')], decisions })).toMatchObject({
      ...{ code: 'waiting_for_approval', step: 'ask', other_steps: ['other'], approvers: ['bob'], since: NOW },
      ...{
        approvals: 1,
        approvals_needed: 2,
        message: `step 'ask' waits for bob to decide (1 of 2 approvals): Ship it?`,
      },
    });
  });

  it('may have no step that says so', () => {
    expect(blocker({ due_at: Infinity }, { status: 'waiting' })).toMatchObject({ deadline: null });
    expect(blocker({ due_at: NOW }, { status: 'waiting' })).toMatchObject({ deadline: NOW });
    expect(blocker({}, { status: 'waiting' }, { steps: [step('ask', null)] }).message).toContain('somebody');
  });
});
