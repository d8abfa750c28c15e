import { Problem } from '../../common/problem/problem.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import type { StepConfig, StepProblem } from '../step-runner.js';
import type { StepDefinition } from '../workflow.js';
import { type DocumentIssue, toItem } from '../../common/yaml/document-issue.js';
import { readWorkflow, type StepRules } from './read-workflow.js';

/** Stands in for a runner: bash wants `config.command`, and says so. */
const validate = (config: StepConfig): StepProblem[] => {
  return typeof config.command === 'string'
    ? []
    : [{ path: ['command'], message: "'command' is missing", hint: 'Add it.' }];
};

const RULES: StepRules = {
  stepTypes: ['bash', 'noop'],
  validateConfig: (type, config) => (type === 'bash' ? validate(config) : []),
  scriptsOf: () => [],
  maxSteps: 1000,
};

interface Reading {
  readonly steps: StepDefinition[] | undefined;
  /** `path line:column message | hint` of each error. */
  readonly errors: string[];
}

function read(text: string, rules = RULES): Reading {
  const document = parseDocument(text, 'yaml');
  const issues: DocumentIssue[] = [];
  const steps = readWorkflow(document, document.value as Record<string, unknown>, rules, issues);
  const errors = issues
    .map((issue) => toItem(document, issue))
    .map(({ path, line, column, message, hint }) => `${path ?? ''} ${line}:${column} ${message} | ${hint ?? ''}`);
  return { steps, errors };
}

/** A workflow of one good step with one more field. */
function step(field: string): string {
  return `workflow:\n  steps:\n    - name: one\n      type: noop\n      ${field}\n`;
}

test('steps as they stand in the document', () => {
  const text = [
    'workflow:',
    '  steps:',
    '    - name: build',
    '      type: bash',
    '      env: {A: x, VERSION: 1.10, ON: true, EMPTY: ""}',
    '      timeout: 1m30s',
    '      config: {command: make, more: [1]}',
    '    - {name: rest.of_it-2, type: noop, timeout: 0.5}',
  ].join('\n');
  expect(read(text)).toEqual({
    errors: [],
    steps: [
      {
        name: 'build',
        type: 'bash',
        env: { A: 'x', VERSION: '1.10', ON: 'true', EMPTY: '' },
        timeoutSeconds: 90,
        config: { command: 'make', more: [1] },
      },
      { name: 'rest.of_it-2', type: 'noop', env: {}, timeoutSeconds: 0.5, config: {} },
    ],
  });
});

test('none, or the only one of the named workflows', () => {
  expect(read('a: 1')).toEqual({ steps: undefined, errors: [] });
  const { steps, errors } = read('workflows:\n  provision-db:\n    steps:\n      - {name: a, type: noop}\n');
  expect([steps?.[0]?.name, errors]).toEqual(['a', []]);
});

const mistakes: [name: string, text: string, ...errors: string[]][] = [
  [
    'several named workflows',
    'a: 1\nworkflows:\n  one: {}\n  two: {}\n',
    "workflows 2:1 'workflows' has 2 workflows (one, two); one submission runs one of them | Choose one of them, and leave the others out.",
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
    'a step that is a text',
    'workflow:\n  steps:\n    - make\n',
    "workflow.steps[0] 3:7 A step must be a mapping, but this is the text 'make' |",
  ],
  [
    'a misspelt type',
    step('').replace('noop', 'bsh'),
    "workflow.steps[0].type 4:13 unknown step type 'bsh': did you mean 'bash'? | Did you mean 'bash'?",
  ],
  [
    'an unknown type',
    step('').replace('noop', 'quantum'),
    "workflow.steps[0].type 4:13 unknown step type 'quantum' | Known types: bash, noop.",
  ],
  [
    'no type and no name',
    'workflow:\n  steps:\n    - env: {}\n',
    "workflow.steps[0].name 3:7 'name' is missing in a step | Give each step a name",
    'workflow.steps[0].type 3:7 \'type\' is missing in a step | Add "type:" with one of bash, noop.',
  ],
  [
    'a name that is a number',
    step('').replace('one', '1'),
    'workflow.steps[0].name 3:13 \'name\' must be a text, but is the number 1 | Put it in quotes: "1"',
  ],
  [
    'a bad name',
    step('').replace('one', '"a b"'),
    "workflow.steps[0].name 3:13 'a b' is not a valid name of a step | Allowed: up to 63",
  ],
  ['a long name', step('').replace('one', 'a'.repeat(64)), "workflow.steps[0].name 3:13 '"],
  [
    'a name used twice',
    'workflow:\n  steps:\n    - {name: a, type: noop}\n    - {name: a, type: noop}\n',
    "workflow.steps[1].name 4:14 Two steps have the name 'a' | The other one is workflow.steps[0]: rename one of them.",
  ],
  [
    'a misspelt field',
    step('timout: 5'),
    "workflow.steps[0].timout 5:7 unknown key 'timout' in a step | Did you mean 'timeout'?",
  ],
  [
    'a field of the type',
    step('playbook: x'),
    "workflow.steps[0].playbook 5:7 unknown key 'playbook' in a step | Known here: name, type, env, timeout, config; what belongs to the step's type stands below 'config:'.",
  ],
  [
    'a field for later',
    step('dependsOn: [a]'),
    "workflow.steps[0].dependsOn 5:7 'dependsOn' is not supported yet | Steps run one after the other",
  ],
  ['env as a list', step('env: [A=1]'), "workflow.steps[0].env 5:7 'env' must be a mapping, but is a list |"],
  [
    'env with nothing in it',
    step('env: {A: }'),
    'workflow.steps[0].env.A 5:13 \'A\' must be a text, a number or true or false, but is empty | Write "" for an empty text',
  ],
  [
    'env with a list in it',
    step('env: {A: [1]}'),
    "workflow.steps[0].env.A 5:13 'A' must be a text, a number or true or false, but is a list |",
  ],
  [
    'env with a bad name',
    step('env: {1A: x, "B-C": y}'),
    'workflow.steps[0].env["1A"] 5:13 \'1A\' is not a valid name of a variable |',
    "workflow.steps[0].env.B-C 5:20 'B-C' is not",
  ],
  [
    'a timeout of nothing',
    step('timeout: 0'),
    "workflow.steps[0].timeout 5:16 'timeout' must be a time above zero, but is the number 0 | Write seconds such as 30, or a duration: 500ms",
  ],
  ['a negative timeout', step('timeout: -5'), 'workflow.steps[0].timeout 5:16'],
  [
    'a timeout without a unit',
    step('timeout: "30"'),
    "workflow.steps[0].timeout 5:16 'timeout' must be a time above zero, but is the text '30' |",
  ],
  ['a timeout of a list', step('timeout: [1]'), 'workflow.steps[0].timeout 5:7'],
  [
    'a timeout of true',
    step('timeout: true'),
    "workflow.steps[0].timeout 5:16 'timeout' must be a time above zero, but is the word true",
  ],
  [
    'a timeout beyond the timers',
    step('timeout: 4w'),
    "workflow.steps[0].timeout 5:16 'timeout' is longer than 24 days |",
  ],
  [
    'a config that is a text',
    step('config: make').replace('noop', 'bash'),
    "workflow.steps[0].config 5:15 'config' must be a mapping, but is the text 'make' |",
  ],
  [
    "what the type's runner finds",
    step('config:\n        x: 1').replace('noop', 'bash'),
    "workflow.steps[0].config.command 5:7 'command' is missing | Add it.",
  ],
  [
    'everything at once',
    'workflow:\n  steps:\n    - {name: a b, type: bsh, env: 1}\n    - 5\n    - {name: b, type: bash}\n',
    'workflow.steps[0].name 3:14',
    'workflow.steps[0].type 3:25',
    'workflow.steps[0].env 3:35',
    'workflow.steps[1] 4:7',
    'workflow.steps[2].config.command 5:7',
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
  expect(read(steps(10), rules).steps).toHaveLength(10);
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
