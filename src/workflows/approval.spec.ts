import type { Decision } from '../queue/task-handler.js';
import { approvalOf, barTo, verdictOf, type Approval } from './approval.js';

const approval = (changes: Partial<Approval> = {}): Approval => ({
  ...{ count: 1, notSubmitter: false, default: 'reject' },
  ...changes,
});
const says = (actor: string, decision: Decision['decision'], comment: string | null = null): Decision => ({
  ...{ actor, decision, comment },
});

describe('the verdict', () => {
  it('needs so many different people', () => {
    const decisions = [says('ann', 'approve', 'one'), says('ann', 'approve'), says('bob', 'approve', 'two')];
    expect(verdictOf(approval({ count: 3 }), decisions, null)).toBeUndefined();
    expect(verdictOf(approval({ count: 2 }), decisions, 5)).toEqual({
      approved: true,
      by: ['ann', 'bob'],
      comment: 'one\ntwo',
    });
  });

  it('is a rejection as soon as one rejects, and when the time is up unless silence approves', () => {
    const decisions = [says('ann', 'approve'), says('bob', 'reject', 'no')];
    const rejected = { approved: false, why: 'rejected by bob: no' };
    expect(verdictOf(approval({ count: 2 }), decisions, null)).toEqual(rejected);
    // What was said first settles the matter.
    expect(verdictOf(approval(), decisions, null)).toMatchObject({ approved: true, by: ['ann'] });
    expect(verdictOf(approval(), [...decisions].reverse(), null)).toEqual(rejected);
    const late = verdictOf(approval({ count: 2 }), [says('ann', 'approve')], 0);
    expect(late).toEqual({ approved: false, why: expect.stringContaining('1 of 2 approvals') });
    expect(verdictOf(approval({ default: 'approve' }), [], -3)).toEqual({ approved: true, by: [], comment: '' });
  });
});

it('is read from a config, with what is left out', () => {
  expect(approvalOf({})).toEqual({ approval: approval(), seconds: null });
  const all = {
    message: 'go?',
    approvers: ['ann'],
    count: 2,
    timeout: '1h30m',
    default: 'approve',
    not_submitter: true,
  };
  expect(approvalOf(all)).toEqual({
    approval: { message: 'go?', approvers: ['ann'], count: 2, notSubmitter: true, default: 'approve' },
    seconds: 5_400,
  });
  expect(approvalOf({ timeout: '30' }).seconds).toBe(30);
});

it.each<[Partial<Approval>, Decision['decision'], string, RegExp | undefined]>([
  [{}, 'approve', 'ann', undefined],
  [{ notSubmitter: true }, 'approve', 'ann', /submitted the task/],
  [{ notSubmitter: true }, 'reject', 'ann', undefined],
  [{ notSubmitter: true }, 'approve', 'bob', undefined],
  [{ approvers: ['bob'] }, 'approve', 'ann', /none of those who may decide: bob/],
  [{ approvers: ['bob'] }, 'reject', 'ann', /none of those/],
  [{ approvers: ['bob', 'role:approver'] }, 'approve', 'eve', undefined],
  [{ approvers: ['role:approver'], notSubmitter: true }, 'approve', 'ann', /submitted the task/],
  [{ approvers: ['role:admin'] }, 'approve', 'eve', /none of those who may decide: role:admin/],
  [{ approvers: ['approver'] }, 'approve', 'eve', /none of those/],
])('with %j, %s by %s is barred: %s', (changes, decision, actor, expected) => {
  const bar = barTo(approval(changes), decision, { actor, roles: ['approver'] }, ['zoe', 'ann']);
  if (expected === undefined) expect(bar).toBeUndefined();
  else expect(bar).toMatch(expected);
});
