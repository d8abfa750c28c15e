import { Problem } from '../../common/problem/problem.js';
import type { StepRules } from './read-workflow.js';
import { readText as read, RULES } from '../../../test/support/read-workflow.js';

test('every field of a workflow', () => {
  const text = `workflow:
  steps: [{name: a, type: noop}]
  variables: {REGION: eu, REPLICAS: 3}
  outputs: {url: "https://x"}
  timeout: 2h
  retry: 2
  resume: without_workspace
`;
  expect(read(text)).toMatchObject({
    errors: [],
    workflow: {
      variables: { REGION: 'eu', REPLICAS: '3' },
      outputs: { url: 'https://x' },
      timeoutSeconds: 7200,
      retry: { maxAttempts: 2 },
      resume: 'without_workspace',
    },
  });
});

test('none, the only one of the named workflows, or the one with the golden path´s name', () => {
  expect(read('a: 1')).toEqual({ workflow: undefined, errors: [] });
  const one = read('workflows:\n  provision-db:\n    steps:\n      - {name: a, type: noop}\n');
  expect([one.workflow?.steps[0]?.name, one.errors]).toEqual(['a', []]);
  const two = read('workflows: {x: {steps: []}, deploy-app: {steps: [{name: b, type: noop}]}}');
  expect([two.workflow?.steps[0]?.name, two.errors]).toEqual(['b', []]);
});

const mistakes: [name: string, text: string, ...errors: string[]][] = [
  [
    'several named workflows',
    'a: 1\nworkflows:\n  one: {}\n  two: {}\n',
    "workflows 2:1 'workflows' has 2 workflows (one, two), and none has the golden path's name | Name the one to run 'deploy-app', or submit with",
  ],
  ['no named workflow', 'workflows: {}', "workflows 1:1 'workflows' is empty |"],
  [
    'a list of workflows',
    'workflows: [a]',
    "workflows 1:1 'workflows' must be a mapping of names to workflows, but is a list |",
  ],
  [
    'both kinds',
    'workflow: {steps: [{name: a, type: noop}]}\nworkflows: {}',
    "workflows 2:1 The document has both 'workflow' and 'workflows' | Keep one of them.",
  ],
  [
    'steps right below',
    'workflow:\n  - name: a\n',
    'workflow 1:1 \'workflow\' must be a mapping, but is a list | Put "steps:" before the list.',
  ],
  [
    'an empty workflow',
    'workflow:',
    "workflow 1:1 'workflow' must be a mapping, but is empty | Nothing belongs to 'workflow'",
  ],
  [
    'no steps',
    'workflow: {}',
    'workflow.steps 1:1 \'steps\' is missing in the workflow | Add "steps:" with a list of steps.',
  ],
  [
    'a misspelt key',
    'workflow:\n  setps: []',
    "workflow.setps 2:3 unknown key 'setps' in a workflow | Did you mean 'steps'?",
    "workflow.steps 1:1 'steps' is missing",
  ],
  ['an empty list', 'workflow: {steps: []}', "workflow.steps 1:12 'steps' is an empty list |"],
  [
    'steps by name',
    'workflow:\n  steps:\n    a: {}\n',
    "workflow.steps 2:3 'steps' must be a list, but is a mapping |",
  ],
  [
    'a workflow with nothing right in it',
    'workflow:\n  steps: [{name: a, type: noop}]\n  variables: [a]\n  outputs: {"a b": 1}\n  timeout: 400d\n  retry: no\n  resume: always\n',
    "workflow.variables 3:3 'variables' must be a mapping, but is a list",
    'workflow.outputs["a b"] 4:13 \'a b\' is not a valid name of an output',
    "workflow.timeout 5:12 'timeout' is longer than 366 days",
    "workflow.retry 6:10 'retry' must be a whole number of attempts",
    "workflow.resume 7:11 'resume' must be one of without_workspace",
  ],
];
test.each(mistakes)('%s', (_, text, ...errors) => {
  const found = read(text).errors;
  expect(found.map((error, at) => error.slice(0, errors[at]?.length ?? 0))).toEqual(errors);
});

test('more steps than the service accepts are a 413, not a thousand errors', () => {
  const steps = (count: number): string =>
    `workflow:\n  steps:\n${Array.from({ length: count }, (_, at) => `    - {name: s${at}, type: noop}\n`).join('')}`;
  const rules = { ...RULES, maxSteps: 10 };
  expect(read(steps(10), rules).workflow?.steps).toHaveLength(10);
  try {
    read(steps(11), rules);
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect(error).toMatchObject({ code: 'too_many_steps', status: 413, errors: [{ path: 'workflow.steps', line: 2 }] });
    return;
  }
  throw new Error('was accepted');
});

test('a runner is asked about its own type only, with the config as it was written', () => {
  const asked: unknown[] = [];
  const rules: StepRules = {
    ...RULES,
    validateConfig: (type, config) => {
      asked.push([type, config]);
      return [];
    },
  };
  read('workflow: {steps: [{name: a, type: nothing}, {name: b, type: noop, config: {x: 1}}]}', rules);
  expect(asked).toEqual([['noop', { x: 1 }]]);
});
