import { readText as read } from '../../../test/support/read-workflow.js';

/** A workflow of one good bash step with one more field. */
function bash(field: string): string {
  return step(`command: make\n      ${field}`).replace('noop', 'bash');
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
    '      type: noop',
    '      env: {A: x, VERSION: 1.10, ON: true, EMPTY: ""}',
    '      timeout: 1m30s',
    '      config: {command: make, more: [1]}',
    '    - {name: rest.of_it-2, type: noop, timeout: 0.5}',
  ].join('\n');
  expect(read(text)).toEqual({
    errors: [],
    workflow: {
      steps: [
        {
          name: 'build',
          type: 'noop',
          env: { A: 'x', VERSION: '1.10', ON: 'true', EMPTY: '' },
          timeoutSeconds: 90,
          config: { command: 'make', more: [1] },
        },
        { name: 'rest.of_it-2', type: 'noop', env: {}, timeoutSeconds: 0.5, config: {} },
      ],
    },
  });
});

const EXPONENTIAL = { type: 'exponential', initialSeconds: 1, factor: 2, maxSeconds: 300, jitter: 'full' };

test('every field of a step', () => {
  const text = `workflow:
  steps:
    - name: a
      type: noop
      when: always
      if: $A == 1
      unless: true
      dependsOn: b
      retry: {max_attempts: 5, retry_on: [timeout, timeout], backoff: {type: linear, initial: 2s, max: 1m, jitter: none}}
      continue_on_error: true
      outputFile: out/results.json
      setVariables: {VERSION: 1.10}
      namespace: prod
      config: {path: ./x}
    - {name: b, type: noop, retry: 3, dependsOn: []}
`;
  expect(read(text)).toEqual({
    errors: [],
    workflow: {
      steps: [
        {
          name: 'a',
          type: 'noop',
          env: {},
          when: 'always',
          if: '$A == 1',
          unless: 'true',
          dependsOn: ['b'],
          retry: {
            maxAttempts: 5,
            backoff: { type: 'linear', initialSeconds: 2, factor: 2, maxSeconds: 60, jitter: 'none' },
            retryOn: ['timeout'],
          },
          continueOnError: true,
          outputFile: 'out/results.json',
          setVariables: { VERSION: '1.10' },
          config: { path: './x', namespace: 'prod' },
        },
        {
          name: 'b',
          type: 'noop',
          env: {},
          config: {},
          dependsOn: [],
          retry: { maxAttempts: 3, backoff: EXPONENTIAL },
        },
      ],
    },
  });
});

test('steps side by side', () => {
  const text = `workflow:
  steps:
    - {name: c, type: noop, parallel: true, parallelGroup: 1}
    - {name: d, type: noop, parallel: true, retry: {max_attempts: 2, backoff: {initial: 10m}}}
    - {name: e, type: noop, parallel: false}
`;
  expect(read(text)).toEqual({
    errors: [],
    workflow: {
      steps: [
        { name: 'c', type: 'noop', env: {}, config: {}, parallelGroup: '1' },
        {
          name: 'd',
          type: 'noop',
          env: {},
          config: {},
          parallelGroup: '',
          retry: { maxAttempts: 2, backoff: { ...EXPONENTIAL, initialSeconds: 600, maxSeconds: 600 } },
        },
        { name: 'e', type: 'noop', env: {}, config: {} },
      ],
    },
  });
});

const mistakes: [name: string, text: string, ...errors: string[]][] = [
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
    'a misspelt field, of a type that does not know it',
    bash('timout: 5'),
    "workflow.steps[0].timout 6:7 unknown key 'timout' in a step | Did you mean 'timeout'?",
  ],
  [
    'a field of the type that is nearly a common one, with a wrong value',
    bash('variables: 5'),
    "workflow.steps[0].variables 6:18 'variables' is no mapping |",
  ],
  ...[
    ['depends_on', 'dependsOn'],
    ['needs', 'dependsOn'],
    ['continueOnError', 'continue_on_error'],
    ['retries', 'retry'],
    ['output_file', 'outputFile'],
    ['set-variables', 'setVariables'],
    ['IF', 'if'],
  ].map(([key, meant]): (typeof mistakes)[number] => [
    `${key}, whatever the type`,
    step(`${key}: 5`),
    `workflow.steps[0].${key} 5:7 unknown key '${key}' in a step | Did you mean '${meant}'?`,
  ]),
  [
    'a field that the type does not know',
    bash('playbook: x'),
    "workflow.steps[0].playbook 6:7 'playbook' is unknown to bash | Remove it.",
  ],
  [
    'a field that the type does not know, below config',
    step('config: {command: x, playbook: x}').replace('noop', 'bash'),
    "workflow.steps[0].config.playbook 5:28 'playbook' is unknown to bash | Remove it.",
  ],
  [
    'fields at both places, each told where it stands',
    step('command: 5\n      config:\n        shell: 1').replace('noop', 'bash'),
    "workflow.steps[0].command 5:16 'command' is no text |",
    "workflow.steps[0].config.shell.name 7:9 'name' is missing |",
  ],
  [
    'one field at both places',
    step('path: a\n      config: {path: b}'),
    "workflow.steps[0].path 5:7 'path' stands in the step and below its 'config' | Keep one of the two.",
  ],
  [
    'when',
    step('when: on_sucess'),
    "workflow.steps[0].when 5:13 'when' must be one of on_success, always, on_failure, manual, but is the text 'on_sucess' | Did you mean 'on_success'?",
  ],
  ['when of a list', step('when: [always]'), "workflow.steps[0].when 5:7 'when' must be one of"],
  [
    'if of a number',
    step('if: 5'),
    "workflow.steps[0].if 5:11 'if' must be a text, but is the number 5 | Put it in quotes",
  ],
  [
    'an empty unless',
    step('unless: ""'),
    "workflow.steps[0].unless 5:15 'unless' must be a text, but is an empty text",
  ],
  [
    'dependsOn of a number',
    step('dependsOn: 5'),
    "workflow.steps[0].dependsOn 5:18 'dependsOn' must be a list of names of steps, but is the number 5 |",
  ],
  [
    'dependsOn of lists',
    step('dependsOn: [one, [two]]'),
    "workflow.steps[0].dependsOn[1] 5:24 'dependsOn' must be a list of names of steps, but has a list | Write",
  ],
  [
    'parallel in words',
    step('parallel: yes\n      parallelGroup: {a: 1}'),
    "workflow.steps[0].parallel 5:17 'parallel' must be true or false, but is the text 'yes' | Write true or false",
    "workflow.steps[0].parallelGroup 6:7 'parallelGroup' must be a name or a number, but is a mapping",
  ],
  [
    'a group without parallel',
    step('parallelGroup: 1'),
    "workflow.steps[0].parallelGroup 5:7 'parallelGroup' says nothing of a step that is not parallel | Add",
  ],
  [
    'no number of attempts',
    step('retry: {backoff: {}}'),
    "workflow.steps[0].retry.max_attempts 5:7 'max_attempts' is missing in 'retry' | Add",
  ],
  [
    'too many attempts',
    step('retry: 101'),
    "workflow.steps[0].retry 5:14 'retry' must be a whole number of attempts from 1 to 100, but is the number 101",
  ],
  ['half an attempt', step('retry: {max_attempts: 1.5}'), 'workflow.steps[0].retry.max_attempts 5:29'],
  ['attempts in quotes', step('retry: "3"'), "workflow.steps[0].retry 5:14 'retry' must be a whole number"],
  [
    'a backoff with nothing right in it',
    step('retry: {max_attempts: 2, tries: 1, backoff: {type: cubic, initial: soon, factor: 0, max: -1, jitter: some}}'),
    "workflow.steps[0].retry.tries 5:32 unknown key 'tries' in 'retry' | Known here: max_attempts, backoff, retry_on.",
    "workflow.steps[0].retry.backoff.type 5:58 'type' must be one of fixed, linear, exponential",
    "workflow.steps[0].retry.backoff.initial 5:74 'initial' must be a time, but is the text 'soon'",
    "workflow.steps[0].retry.backoff.factor 5:88 'factor' must be a number from 1 to 100",
    "workflow.steps[0].retry.backoff.max 5:96 'max' must be a time, but is the number -1",
    "workflow.steps[0].retry.backoff.jitter 5:108 'jitter' must be one of none, full",
  ],
  [
    'a factor for what has none, a longest wait that is the shorter one',
    step('retry: {max_attempts: 2, backoff: {type: fixed, factor: 2, initial: 10, max: 5}}'),
    "workflow.steps[0].retry.backoff.factor 5:63 'factor' is for exponential backoff, and this one is fixed |",
    "workflow.steps[0].retry.backoff.max 5:84 'max' is less than 'initial' |",
  ],
  [
    'continue_on_error in words',
    step('continue_on_error: sometimes'),
    "workflow.steps[0].continue_on_error 5:26 'continue_on_error' must be true or false",
  ],
  [
    'an absolute outputFile',
    step('outputFile: /tmp/x.json'),
    "workflow.steps[0].outputFile 5:19 'outputFile' must be a path inside the task's workspace, but is the text '/tmp/x.json' | Write it to the step's working directory, and here \"outputFile: x.json\".",
  ],
  ['an outputFile elsewhere', step('outputFile: a/../../x'), "workflow.steps[0].outputFile 5:19 'outputFile' must be"],
  ['an outputFile that is a folder', step('outputFile: ../'), 'workflow.steps[0].outputFile 5:19'],
  [
    'setVariables with what is no variable',
    step('setVariables: {a-b: 1, c: []}'),
    "workflow.steps[0].setVariables.a-b 5:22 'a-b' is not a valid name of a variable |",
    "workflow.steps[0].setVariables.c 5:30 'c' must be a text, a number or true or false, but is a list",
  ],
  [
    'an order that contradicts itself',
    'workflow:\n  steps:\n    - {name: a, type: noop, dependsOn: [b, x]}\n    - {name: b, type: noop, dependsOn: a}\n    - {name: c, type: noop, parallel: true}\n',
    "workflow.steps[0].dependsOn[1] 3:44 'dependsOn' names 'x', and there is no such step |",
    "workflow.steps[2].parallel 5:39 'parallel' and 'dependsOn' cannot both order one workflow | With dependsOn",
    'workflow.steps[0].dependsOn[0] 3:41 These steps wait for each other: a → b → a | Each depends on the next',
  ],
  [
    'one name instead of a list',
    step('dependsOn: tow'),
    "workflow.steps[0].dependsOn 5:18 'dependsOn' names 'tow', and there is no such step | There are: one.",
  ],
  [
    'a step with the name of a scope',
    step('').replace('one', 'workflow'),
    "workflow.steps[0].name 3:13 A step cannot have the name 'workflow' | ${workflow.…} is something else",
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
  ...[
    ['step_failed', "workflow.steps[0].retry.retry_on 5:42 'retry_on' must be a list of causes, but is the text"],
    ['[]', "workflow.steps[0].retry.retry_on 5:32 'retry_on' must be a list of causes"],
    [
      '[timeout, step_faild]',
      "workflow.steps[0].retry.retry_on[1] 5:52 'retry_on' takes step_failed and timeout, but has the text 'step_faild' | Did you mean 'step_failed'?",
    ],
    [
      '[rejected]',
      "workflow.steps[0].retry.retry_on[0] 5:43 'retry_on' takes step_failed and timeout, but has the text 'rejected' | What a policy or a person has rejected is never tried again.",
    ],
    [
      '[7]',
      "workflow.steps[0].retry.retry_on[0] 5:43 'retry_on' takes step_failed and timeout, but has the number 7 |",
    ],
  ].map(([causes, problem]): [name: string, text: string, ...errors: string[]] => {
    return [`retry_on: ${causes}`, step(`retry: {max_attempts: 2, retry_on: ${causes}}`), problem!];
  }),
  [
    'a config that is a text',
    step('config: make').replace('noop', 'bash'),
    "workflow.steps[0].config 5:15 'config' must be a mapping, but is the text 'make' |",
  ],
  [
    "what the type's runner finds",
    step('config:\n        shell: {}').replace('noop', 'bash'),
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
