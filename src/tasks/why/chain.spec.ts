import type { QueueTaskEvent } from '../../queue/queue-task-records.entity.js';
import { chainOf, summaryOf } from './chain.js';

const event = (kind: string, changes: Partial<QueueTaskEvent>) =>
  ({
    kind,
    at: new Date(0),
    actor: 'ada',
    attempt: 2,
    fromStatus: 'running',
    toStatus: null,
    cause: null,
    detail: null,
    ...changes,
  }) as QueueTaskEvent;

describe('a link of the chain', () => {
  it.each([
    ['transition', { fromStatus: null, toStatus: 'pending' }, 'submitted', 'submitted by ada'],
    ['transition', { toStatus: 'completed' }, 'completed', 'attempt 2 completed'],
    ['transition', { toStatus: 'failed', cause: 'timeout' }, 'failed', 'failed with cause timeout'],
    [
      'transition',
      { toStatus: 'retrying', cause: 'step_failed', detail: { error_message: 'x' } },
      'attempt_failed',
      'attempt 2 failed with cause step_failed: x',
    ],
    ['transition', { toStatus: 'cancelled', cause: 'cancelled' }, 'cancelled', 'cancelled by ada'],
    [
      'transition',
      { toStatus: 'cancelled', cause: 'superseded', detail: { error_message: 'superseded by task-1' } },
      'superseded',
      'superseded by task-1',
    ],
    [
      'transition',
      { toStatus: 'pending', cause: 'lease_lost' },
      'lost',
      'attempt 2 was lost: the instance that ran it died',
    ],
    [
      'transition',
      { toStatus: 'pending', cause: 'handed_back' },
      'handed_back',
      'attempt 2 was given back to the queue: handed_back',
    ],
    [
      'transition',
      { fromStatus: 'failed', toStatus: 'pending', cause: 'redriven' },
      'redriven',
      'sent through the queue again by ada',
    ],
    [
      'step',
      { toStatus: 'failed', detail: { step: 'a', exit_code: 7 } },
      'step_failed',
      `step 'a' ended with exit code 7`,
    ],
    [
      'step',
      { toStatus: 'failed', cause: 'timeout', detail: { step: 'a', error_message: 'y' } },
      'step_failed',
      `step 'a' failed with cause timeout: y`,
    ],
    [
      'step',
      { toStatus: 'cancelled', cause: 'lease_lost', detail: { step: 'a' } },
      'step_cancelled',
      `step 'a' was ended: lease_lost`,
    ],
    [
      'operator',
      { cause: 'cancel_requested', detail: { reason: 'oops' } },
      'cancel_requested',
      'cancel requested by ada: oops',
    ],
    [
      'operator',
      { cause: 'rejected', detail: { step: 'ask', comment: 'no' } },
      'rejected',
      `rejected by ada, step 'ask': no`,
    ],
    ['operator', {}, 'changed', 'changed by ada'],
  ] as [string, Partial<QueueTaskEvent>, string, string][])('%s %j: %s', (kind, changes, what, message) => {
    expect(chainOf([event(kind, changes)])).toEqual([{ at: new Date(0), what, by: 'ada', attempt: 2, message }]);
  });

  it.each([
    ['transition', { fromStatus: 'pending', toStatus: 'running' }],
    ['transition', { fromStatus: 'scheduled', toStatus: 'pending' }],
    ['step', { toStatus: 'completed' }],
  ])('is not made of %s %j', (kind, changes) => {
    expect(chainOf([event(kind, changes as Partial<QueueTaskEvent>)])).toEqual([]);
  });
});

describe('the summary', () => {
  const task = { status: 'completed', cause: null, errorMessage: null, attempt: 1, crashes: 0 } as const;
  const link = (what: string) => ({ at: new Date(0), what, by: 'ada', attempt: 1, message: '' });

  it('of a task that completed counts what went wrong before', () => {
    expect(summaryOf(task, [])).toBe('Completed at attempt 1.');
    const chain = [link('completed'), link('lost'), link('attempt_failed'), link('attempt_failed')];
    expect(summaryOf({ ...task, attempt: 4 }, chain)).toBe('Completed at attempt 4, after 2 failed and 1 lost.');
  });

  it('of a failed one is its error, in one line', () => {
    const failed = { ...task, status: 'failed', cause: 'step_failed', errorMessage: 'first line\nsecond' } as const;
    expect(summaryOf(failed, [])).toBe('Failed at attempt 1 with cause step_failed: first line.');
    expect(summaryOf({ ...failed, cause: null, errorMessage: null }, [])).toBe(
      'Failed at attempt 1 with cause unknown.',
    );
  });

  it('of a cancelled one says by whom, once', () => {
    const cancelled = {
      ...task,
      status: 'cancelled',
      cause: 'cancelled',
      errorMessage: 'cancelled by ada: oops',
    } as const;
    expect(summaryOf(cancelled, [link('cancelled')])).toBe('Cancelled by ada: oops.');
    expect(summaryOf({ ...cancelled, errorMessage: 'oops' }, [link('cancelled')])).toBe('Cancelled by ada: oops.');
    const superseded = { ...cancelled, cause: 'superseded', errorMessage: 'superseded by task-2' } as const;
    expect(summaryOf(superseded, [])).toBe('Superseded by task-2.');
  });
});
