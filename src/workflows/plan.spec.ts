import { isDag, namedOrder } from './order-problems.js';
import { Ancestry, planOf, type Plan } from './plan.js';
import type { StepDefinition } from './workflow.js';

type Order = Partial<Pick<StepDefinition, 'when' | 'dependsOn' | 'parallelGroup'>>;

const step = (name: string, order: Order = {}): StepDefinition => ({
  name,
  type: 'noop',
  env: {},
  config: {},
  ...order,
});
const after = (name: string, ...dependsOn: string[]) => step(name, { dependsOn });
const beside = (name: string, parallelGroup = '') => step(name, { parallelGroup });

/** `name: direct predecessors` of each step. */
function shown({ steps }: Plan): string[] {
  return steps.map(({ step: { name }, needs }) => `${name}: ${needs.map((at) => steps[at]!.step.name).join(' ')}`);
}

/** The positions of all that comes before a step. */
function before(plan: Plan, position: number): number[] {
  const ancestry = new Ancestry(plan);
  return plan.steps.map((other) => other.position).filter((other) => ancestry.isBefore(other, position));
}

describe('the order of steps', () => {
  it.each<[string, StepDefinition[], string[]]>([
    ['as written', [step('a'), step('b'), step('c')], ['a: ', 'b: a', 'c: b']],
    [
      'groups where they stand',
      [step('a'), beside('b', '1'), beside('c', '1'), beside('d', '2'), step('e'), beside('f'), beside('g')],
      ['a: ', 'b: a', 'c: a', 'd: b c', 'e: d', 'f: e', 'g: e'],
    ],
    ['a group at the beginning', [beside('a'), beside('b'), step('c')], ['a: ', 'b: ', 'c: a b']],
    ['a group that was left and begun again', [beside('a'), step('b'), beside('c')], ['a: ', 'b: a', 'c: b']],
    [
      'a DAG, in any order of writing',
      [after('d', 'b', 'c'), after('b', 'a'), after('c', 'a'), step('a'), step('free')],
      ['d: b c', 'b: a', 'c: a', 'a: ', 'free: '],
    ],
    ['a DAG by an empty list', [after('a'), step('b')], ['a: ', 'b: ']],
  ])('%s', (_, steps, expected) => {
    expect(shown(planOf(steps))).toEqual(expected);
  });

  it('knows all that comes before a step', () => {
    const dag = planOf([after('d', 'b', 'c'), after('b', 'a'), after('c', 'a'), step('a'), step('free')]);
    expect(before(dag, 0)).toEqual([1, 2, 3]);
    expect(before(dag, 4)).toEqual([]);
    const staged = planOf([beside('a'), beside('b'), beside('c', 'x'), beside('d', 'x'), step('e')]);
    expect(before(staged, 4)).toEqual([0, 1, 2, 3]);
    expect(before(staged, 1)).toEqual([]);
  });

  it.each<[string, StepDefinition[], [step: number, path: (string | number)[], message: RegExp, hint: RegExp][]]>([
    [
      'a circle',
      [after('a', 'b'), after('b', 'x', 'c'), after('c', 'a'), step('x')],
      [[0, ['dependsOn', 0], /^These steps wait for each other: a → b → c → a$/, /remove one/]],
    ],
    [
      'two circles, and what only leads to one',
      [after('a', 'b'), after('b', 'a'), after('into', 'a'), after('c', 'into', 'd'), after('d', 'c')],
      [
        [0, ['dependsOn', 0], /: a → b → a$/, /./],
        [3, ['dependsOn', 1], /: c → d → c$/, /./],
      ],
    ],
    ['itself', [after('a', 'a')], [[0, ['dependsOn', 0], /^Step 'a' depends on itself$/, /Remove/]]],
    [
      'names',
      [step('build'), after('b', 'biuld', 'xyzzy', 'build', 'build')],
      [
        [1, ['dependsOn', 0], /^'dependsOn' names 'biuld', and there is no such step$/, /^Did you mean 'build'\?$/],
        [1, ['dependsOn', 1], /xyzzy/, /^There are: build, b\.$/],
        [1, ['dependsOn', 3], /^'dependsOn' names 'build' twice$/, /Keep one/],
      ],
    ],
    [
      'two ways of ordering',
      [after('a'), beside('b')],
      [[1, ['parallelGroup'], /'parallel' and 'dependsOn' cannot both/, /remove "parallel"/]],
    ],
    [
      'a failure of nobody',
      [after('a'), step('b', { when: 'on_failure' }), step('c', { when: 'on_failure', dependsOn: ['a'] })],
      [[1, ['when'], /names no step whose failure it handles/, /dependsOn/]],
    ],
  ])('refuses %s', (_, steps, expected) => {
    const { problems } = namedOrder(steps);
    expect(problems.map((problem) => [problem.step, problem.path])).toEqual(expected.map(([at, path]) => [at, path]));
    problems.forEach(({ message, hint }, at) => {
      expect(message).toMatch(expected[at]![2]);
      expect(hint).toMatch(expected[at]![3]);
    });
    expect(() => planOf(steps)).toThrow(problems[0]!.message);
  });

  it('asks nothing of steps without dependsOn', () => {
    const steps = [step('a', { when: 'on_failure' }), beside('b')];
    expect(isDag(steps)).toBe(false);
    expect(shown(planOf(steps))).toEqual(['a: ', 'b: a']);
  });

  describe('of a thousand steps', () => {
    const COUNT = 1000;
    const name = (at: number) => `s${at}`;
    const many = (order: (at: number) => Order) => Array.from({ length: COUNT }, (_, at) => step(name(at), order(at)));
    const layer = (at: number) => Math.floor(at / 100);

    it.each<[string, StepDefinition[], needs: number, ancestors: number]>([
      ['one after the other', many(() => ({})), 1, COUNT - 1],
      ['all side by side', many(() => ({ parallelGroup: '' })), 0, 0],
      ['in groups of a hundred', many((at) => ({ parallelGroup: `${layer(at)}` })), 100, 900],
      ['a chain', many((at) => ({ dependsOn: at === 0 ? [] : [name(at - 1)] })), 1, COUNT - 1],
      [
        'layers of a hundred, each on all of the one before',
        many((at) => ({
          dependsOn: layer(at) === 0 ? [] : Array.from({ length: 100 }, (_, i) => name((layer(at) - 1) * 100 + i)),
        })),
        100,
        900,
      ],
      [
        'each on all before it',
        many((at) => ({ dependsOn: Array.from({ length: at }, (_, i) => name(i)) })),
        COUNT - 1,
        COUNT - 1,
      ],
    ])('%s', (_, steps, needs, ancestors) => {
      const plan = planOf(steps);
      expect(plan.steps.map(({ position }) => position)).toEqual(steps.map((_step, at) => at));
      expect(plan.steps.at(-1)!.needs).toHaveLength(needs);
      expect(before(plan, COUNT - 1)).toHaveLength(ancestors);
    });

    it('in one circle, which is cut in the message', () => {
      const { problems } = namedOrder(many((at) => ({ dependsOn: [name((at + 1) % COUNT)] })));
      expect(problems).toHaveLength(1);
      expect(problems[0]!.message).toMatch(/: s0 → s1 → .* → s17 → … → s999 → s0$/);
    });
  });
});
