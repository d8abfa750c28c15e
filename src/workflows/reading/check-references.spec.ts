import { type DocumentIssue, toItem } from '../../common/yaml/document-issue.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import type { Scope } from '../references/references.js';
import { checkReferences, type OpenReference } from './check-references.js';
import { readWorkflow, type StepRules } from './read-workflow.js';
import { workflowDocument } from './workflow-document.js';

const RULES: StepRules = {
  stepTypes: ['bash', 'noop'],
  validateConfig: () => [],
  scriptsOf: (type) => (type === 'bash' ? ['command'] : []),
  maxSteps: 1000,
};

const DOCUMENT: Scope = {
  lookUp: (path) => ({ 'metadata.name': 'shop', 'resources.db.host': 'db.local' })[path.join('.')],
};

/** A file whose steps begin in line 6; `more` is further keys of the spec. */
function file(steps: string, more = ''): string {
  return `kind: Workflow\nspec:\n  variables: {REGION: eu}\n${more || '  timeout: 5m\n'}  steps:\n${steps}`;
}

function check(text: string, document: Scope | null = DOCUMENT): { errors: string[]; open: OpenReference[] } {
  const parsed = parseDocument(text, 'yaml');
  const issues: DocumentIssue[] = [];
  const read = readWorkflow(parsed, workflowDocument(parsed, issues)!, RULES, issues)!;
  expect(issues).toEqual([]);
  const surroundings = { parameters: ['replicas'], ...(document ? { document } : {}) };
  const open = checkReferences(read, surroundings, RULES, issues);
  const errors = issues
    .map((issue) => toItem(parsed, issue))
    .map(({ path, line, column, message, hint }) => `${path} ${line}:${column} ${message} | ${hint}`);
  return { errors, open };
}

test('what a step can refer to', () => {
  const steps = `    - name: build.it
      type: bash
      if: $REGION == eu and resources.cache != null and \${metadata.name} != x
      env: {A: "\${metadata.name} \${resources.db.host} \${parameters.replicas} \${workflow.REGION} \${HOME} $\${x.y}"}
      command: |
        echo "\${metadata.name}" '\${x}' \${file%.txt} # \${no.such.thing}
      setVariables: {VERSION: "\${build.it.version}"}
    - name: deploy
      type: noop
      unless: $A == 1 or build.it.failed
      env: {A: "\${build.it.version}"}
      outputFile: \${workflow.VERSION}.json
      manifest: {spec: ["\${build.it.image}"]}
`;
  expect(check(file(steps, '  outputs: {url: "https://${deploy.host}"}\n'))).toEqual({ errors: [], open: [] });
});

const step = (fields: string) =>
  file(`    - {name: first, type: noop}\n    - name: b\n      type: bash\n      ${fields}\n`);

test.each<[string, string, ...string[]]>([
  [
    'a misspelt step',
    step('env: {X: "v${frist.version}"}'),
    "spec.steps[1].env.X 9:18 '${frist.version}' refers to nothing: there is no step 'frist' | Did you mean 'first.version'?",
  ],
  [
    'a misspelt scope',
    step('env: {X: "${metdata.name}"}'),
    "spec.steps[1].env.X 9:17 '${metdata.name}' refers to nothing: there is no step 'metdata' | Did you mean 'metadata.name'?",
  ],
  [
    'nothing that is known',
    step('env: {X: "${quantum.flux}"}'),
    "spec.steps[1].env.X 9:17 '${quantum.flux}' refers to nothing: there is no step 'quantum' | Known: metadata, environment, resources, parameters, workflow, secrets, and the names of the steps.",
  ],
  [
    'a later step',
    file('    - {name: a, type: noop, x: "${b.v}"}\n    - {name: b, type: noop}\n'),
    "spec.steps[0].x 6:33 '${b.v}' refers to nothing: step 'b' does not come before this one | Move 'b' up, or name it in 'dependsOn'.",
  ],
  [
    'a neighbour in the same group',
    file('    - {name: a, type: noop, parallel: true}\n    - {name: b, type: noop, parallel: true, if: a.success}\n'),
    "spec.steps[1].if 7:49 'a.success' refers to nothing: step 'a' does not come before this one |",
  ],
  [
    'a step of the DAG that it does not wait for',
    file(
      '    - {name: a, type: noop}\n    - {name: b, type: noop, dependsOn: a, x: "${a.v}"}\n    - {name: c, type: noop, x: "${a.v}"}\n',
    ),
    "spec.steps[2].x 8:33 '${a.v}' refers to nothing: step 'a' does not come before this one |",
  ],
  [
    'itself, but for what it sets',
    step('setVariables: {V: "${b.v}"}\n      env: {V: "${b.v}"}'),
    "spec.steps[1].env.V 10:17 '${b.v}' refers to nothing: a step does not know its own outcome here | Use it in a later step.",
  ],
  [
    'a parameter',
    step('env: {X: "${parameters.replica}"}'),
    "spec.steps[1].env.X 9:17 '${parameters.replica}' refers to nothing: there is no parameter 'replica' | Did you mean 'replicas'?",
  ],
  [
    'a variable of the workflow',
    step('env: {X: "${workflow.ZONE}"}'),
    "spec.steps[1].env.X 9:17 '${workflow.ZONE}' refers to nothing: there is no variable of the workflow 'ZONE' | There are: REGION.",
  ],
  [
    'the document, all at once',
    step('env: {X: "${metadata.owner} ${resources.db.port}", Y: "${environment.type}"}'),
    "spec.steps[1].env.X 9:17 '${metadata.owner}' refers to nothing: the document does not have it | Add 'metadata.owner' to the document.",
    "spec.steps[1].env.X 9:35 '${resources.db.port}' refers to nothing: the document does not have it |",
    "spec.steps[1].env.Y 9:62 '${environment.type}' refers to nothing: the document does not have it |",
  ],
  [
    'the document in a condition',
    step('if: metadata.owner == x and resources.cache.size > 5'),
    "spec.steps[1].if 9:11 'metadata.owner' refers to nothing: the document does not have it |",
  ],
  [
    'a variable of a condition that nobody has',
    step('if: $REGION == eu and $REGOIN == eu'),
    "spec.steps[1].if 9:30 '$REGOIN' has no value: neither the step's env nor the workflow's variables have it | Did you mean '$REGION'?",
  ],
  [
    'a condition that is none',
    step('unless: $REGION = eu'),
    "spec.steps[1].unless 9:23 'unless' is no condition: '=' is no operator | Did you mean '=='?",
  ],
  [
    'a script that would not expand it',
    step("command: |\n        echo hello\n        echo '${metadata.name}'"),
    "spec.steps[1].command 11:15 '${metadata.name}' stands in single quotes",
  ],
  [
    'a script',
    step('command: |\n        echo hello\n        echo "${metadata.name} ${metadata.owner}"'),
    "spec.steps[1].command 11:32 '${metadata.owner}' refers to nothing: the document does not have it |",
  ],
  [
    'deep inside a config',
    step('config:\n        manifest:\n          - {a: ["${x.y}"]}'),
    "spec.steps[1].config.manifest[0].a[0] 11:19 '${x.y}' refers to nothing: there is no step 'x' |",
  ],
  [
    'outputs and variables',
    'kind: Workflow\nvariables: {A: "${metadata.name}"}\noutputs: {B: "${x.y}"}\nspec: {steps: [{name: a, type: noop}]}\n',
    "outputs.B 3:15 '${x.y}' refers to nothing: there is no step 'x' |",
    'variables.A 2:17 ${metadata.name} is not filled in here | Use the reference where it is needed,',
  ],
])('refuses %s', (_, text, ...errors) => {
  const found = check(text).errors;
  expect(found.map((error, at) => error.slice(0, errors[at]?.length ?? 0))).toEqual(errors);
});

test('before the document is known, says what it must have', () => {
  const steps = `    - {name: a, type: noop, if: environment.type == x, x: ["\${metadata.name}", "\${metadata.name}"]}
    - {name: b, type: noop, if: resources.db != null, x: "\${resources.db.host} \${metadata.name}"}
`;
  expect(check(file(steps, '  outputs: {o: "${metadata.owner}"}\n'), null)).toEqual({
    errors: [],
    open: [
      { step: 'a', path: ['environment', 'type'] },
      { step: 'a', path: ['metadata', 'name'] },
      { step: 'b', path: ['resources', 'db', 'host'] },
      { step: 'b', path: ['metadata', 'name'] },
      { path: ['metadata', 'owner'] },
    ],
  });
});

test.each<[string, string]>([
  ['references to nothing', '${a.b} '.repeat(60_000)],
  ['one endless reference', `\${first.${'x.'.repeat(200_000)}y}`],
  ['references to a step that comes later', '${last.b} '.repeat(50_000)],
])('half a megabyte of %s is told in the time of a request', (_, text) => {
  for (const place of [`x: "${text}"`, `command: |\n        ${text}`]) {
    const last = '    - {name: last, type: noop}\n';
    const { errors } = check(step(place) + last);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThanOrEqual(1001);
    expect(errors.join().length).toBeLessThan(1_000_000);
  }
});

test('a thousand steps that refer to all before them', () => {
  const steps = Array.from(
    { length: 1000 },
    (_, at) => `    - {name: s${at}, type: noop, x: "\${s${Math.max(0, at - 1)}.v}"}\n`,
  );
  const { errors } = check(file(steps.join('')));
  expect(errors).toEqual([expect.stringMatching(/^spec.steps\[0\].x .*a step does not know its own outcome here/)]);
});

describe('secrets', () => {
  const RULES_WITH_SECRETS: StepRules = {
    ...RULES,
    secretsOf: () => ({ fields: ['body'], hint: 'Into the body.' }),
  };
  const secretFault = (name: string) =>
    name === 'TOKEN' ? undefined : { why: 'it is not allowed', hint: 'Take TOKEN.', refused: true as const };

  function faultsOf(fields: string, more = '') {
    const parsed = parseDocument(file(`    - name: b\n      type: bash\n      ${fields}\n`, more), 'yaml');
    const issues: DocumentIssue[] = [];
    const read = readWorkflow(parsed, workflowDocument(parsed, issues)!, RULES_WITH_SECRETS, issues)!;
    checkReferences(read, { parameters: [], document: DOCUMENT, secretFault }, RULES_WITH_SECRETS, issues);
    return issues.map(({ message, hint }) => `${message} | ${hint}`);
  }

  test.each([
    ['env: {X: "${secrets.TOKEN}"}'],
    ['env: {X: "a ${secrets.TOKEN.file} b"}'],
    ['command: echo "${secrets.TOKEN}" ${secrets.TOKEN.file}'],
    ['body: {token: ["${secrets.TOKEN}"]}'],
  ])('may stand in %s', (fields) => {
    expect(faultsOf(fields)).toEqual([]);
  });

  test.each([
    ['env: {X: "${secrets.OTHER}"}', "'${secrets.OTHER}' is refused: it is not allowed | Take TOKEN."],
    ['command: echo "${secrets.OTHER}"', "'${secrets.OTHER}' is refused: it is not allowed"],
    ['url: "${secrets.TOKEN}"', 'comes to stand on a command line | Into the body.'],
    ['outputFile: "${secrets.TOKEN}"', "'${secrets.TOKEN}' is refused: what stands here is stored"],
    ['setVariables: {X: "${secrets.TOKEN}"}', "'${secrets.TOKEN}' is refused: what stands here is stored"],
    ['env: {HISTFILE: "${secrets.TOKEN}"}', 'Choose another name for the variable.'],
    ['if: secrets.TOKEN == x', "'secrets.TOKEN' is refused: what a condition looks at is shown"],
    ['unless: $X == y\n      env: {X: "a${secrets.TOKEN}"}', "'$X' holds a secret: what a condition looks at is shown"],
    ['env: {X: "${secrets.my-token}"}', 'refers to nothing: a secret has a name of letters'],
    ['env: {X: "${secrets.TOKEN.path}"}', 'below it there is only its file'],
    ['env: {X: "${secret.TOKEN}"}', "there is no step 'secret' | Did you mean 'secrets.TOKEN'?"],
  ])('are refused in %s', (fields, fault) => {
    expect(faultsOf(fields)).toEqual([expect.stringContaining(fault)]);
  });

  test('are no results of a workflow', () => {
    const faults = faultsOf('command: "true"', '  outputs: {x: "${secrets.TOKEN}"}\n');
    expect(faults).toEqual([expect.stringContaining('what stands here is stored')]);
  });
});
