import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { readSubmissionQuery } from './submission-query.js';

function errorsOf(query: Record<string, unknown>): readonly ProblemItem[] {
  try {
    readSubmissionQuery(query);
  } catch (error) {
    if (error instanceof Problem && error.code === 'invalid_parameter') return error.errors;
    throw error;
  }
  return [];
}

describe('the query of a submission', () => {
  it('may be empty', () => {
    expect(readSubmissionQuery({})).toMatchObject({ labels: {} });
  });

  it('is read into numbers, seconds and labels', () => {
    const query = {
      golden_path: 'db-lifecycle',
      priority: 'high',
      start_within: '90s',
      delay: '1h30m',
      max_attempts: '3',
      timeout: '500ms',
      'label.team': 'shop',
      'label.cost-center/id': '4711',
    };
    expect(readSubmissionQuery(query)).toMatchObject({
      golden_path: 'db-lifecycle',
      priority: 'high',
      start_within: 90,
      delay: 5_400,
      max_attempts: 3,
      timeout: 0.5,
      labels: { team: 'shop', 'cost-center/id': '4711' },
    });
    expect(readSubmissionQuery({ run_at: '2026-01-31T13:00:00Z' }).run_at).toBe('2026-01-31T13:00:00Z');
  });

  it.each([
    ['priority', 'hgih', /one of urgent, high, medium, low/],
    ['golden_path', 'Deploy App', /name of a golden path/],
    ['start_within', 'soon', /duration such as/],
    ['delay', '400d', /at most 366 days/],
    ['delay', '', /duration/],
    ['run_at', 'tomorrow', /time such as/],
    ['max_attempts', '0', /1 to 100/],
    ['max_attempts', 'three', /1 to 100/],
    ['max_attempts', '1.5', /1 to 100/],
    ['timeout', '0s', /duration/],
  ])('refuses %s=%s', (name, value, message) => {
    expect(errorsOf({ [name]: value })).toEqual([{ path: name, message: expect.stringMatching(message) }]);
  });

  it('names an unknown parameter and what was probably meant', () => {
    expect(errorsOf({ prioriti: 'high' })).toEqual([
      { path: 'prioriti', message: "unknown parameter 'prioriti'", hint: "Did you mean 'priority'?" },
    ]);
    expect(errorsOf({ xyzzy: '1' })[0]?.hint).toMatch(/^Known parameters: golden_path, /);
  });

  it('refuses a parameter given twice', () => {
    expect(errorsOf({ priority: ['high', 'low'] })[0]?.message).toMatch(/more than once/);
  });

  it('refuses two answers to the same question', () => {
    expect(errorsOf({ run_at: '2026-01-31T13:00:00Z', delay: '5m' })[0]?.message).toMatch(/both given/);
  });

  it('checks labels', () => {
    expect(errorsOf({ 'label.': 'x' })[0]?.path).toBe('label.');
    expect(errorsOf({ 'label.-a': 'x' })).toHaveLength(1);
    expect(errorsOf({ 'label.a': ['x', 'y'] })).toHaveLength(1);
    expect(errorsOf({ 'label.a': 'x'.repeat(256) })).toHaveLength(1);
    expect(errorsOf({ 'label.a': 'x\0' })[0]?.message).toMatch(/cannot be stored/);
    expect(errorsOf({ 'label.a': '\ud83d' })[0]?.message).toMatch(/cannot be stored/);
    expect(errorsOf({ 'label.a': '😀' })).toEqual([]);
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`label.l${n}`, 'x']));
    expect(errorsOf(many)[0]?.message).toMatch(/more than 32/);
  });

  it('tells all errors at once', () => {
    expect(errorsOf({ priority: 'x', delay: 'x', nonsense: 'x' }).map((error) => error.path)).toEqual(
      expect.arrayContaining(['priority', 'delay', 'nonsense']),
    );
  });
});
