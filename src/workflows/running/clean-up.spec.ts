import type { StoredStep } from '../../queue/task-handler.js';
import { planOf } from '../plan.js';
import type { StepDefinition } from '../workflow.js';
import { cleansUp, hasRun, keptForCleanUp } from './clean-up.js';

const step = (name: string, changes: Partial<StepDefinition> = {}): StepDefinition => ({
  ...{ name, type: 'bash', env: {}, config: {} },
  ...changes,
});
const stored = (name: string, status: StoredStep['status'], changes: Partial<StoredStep> = {}): StoredStep => ({
  ...{ position: 0, name, type: 'bash', status, attempt: 1, cause: null, errorMessage: null },
  ...{ outputs: {}, variables: {}, waitsFor: null, secondsLeft: null, decisions: [] },
  ...changes,
});

test.each([
  [{ when: 'always' }, true],
  [{ when: 'always', type: 'approval' }, false],
  [{ when: 'on_failure' }, false],
  [{ when: 'manual' }, false],
  [{}, false],
] as const)('of steps that end %p, those that clean up are known', (changes, expected) => {
  expect(cleansUp(step('a', changes))).toBe(expected);
});

test.each([
  [['pending', 'waiting', 'skipped'], false],
  [['completed', 'pending'], true],
  [['failed'], true],
  [['cancelled'], true],
  [[], false],
] as const)('of steps that are %p, something has run: %p', (statuses, expected) => {
  expect(hasRun(statuses.map((status, at) => stored(`s${at}`, status)))).toBe(expected);
});

describe('what stays as it is while a run only cleans up', () => {
  const plan = planOf([
    step('lock', { when: 'always' }),
    step('create'),
    step('test'),
    step('report'),
    step('unlock', { when: 'always' }),
    step('remove', { when: 'always' }),
  ]);
  const kept = (attempt: number, ...before: StoredStep[]) =>
    [...keptForCleanUp(plan, before, attempt).values()].map(({ name, status }) => `${name} ${status}`);
  const begun = [stored('lock', 'completed'), stored('create', 'completed'), stored('test', 'failed')];

  it('is all that has ended, but not clean-up of an earlier attempt that comes after what failed', () => {
    expect(kept(2, ...begun, stored('report', 'pending'), stored('unlock', 'completed'))).toEqual([
      'lock completed',
      'create completed',
      'test failed',
    ]);
  });

  it('has clean-up of this attempt in it, unless it was stopped', () => {
    const done = stored('unlock', 'completed');
    expect(kept(1, ...begun, done, stored('remove', 'cancelled'))).toContain('unlock completed');
    expect(kept(1, ...begun, done, stored('remove', 'cancelled'))).not.toContain('remove cancelled');
  });

  it('does not take what a cancel has skipped for passed', () => {
    const skipped = stored('report', 'skipped', { cause: 'cancelled' });
    const steps = [...begun.slice(0, 2), stored('test', 'completed'), skipped, stored('unlock', 'completed')];
    expect(kept(2, ...steps)).not.toContain('unlock completed');
    const passed = { ...skipped, cause: 'condition' };
    expect(kept(2, ...steps.map((one) => (one === skipped ? passed : one)))).toContain('unlock completed');
  });
});
