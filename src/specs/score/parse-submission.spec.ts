import fc from 'fast-check';
import { Problem } from '../../common/problem/problem.js';
import { parseSubmission, type Submission } from './parse-submission.js';
import type { StepRules } from '../../workflows/reading/read-workflow.js';

const RULES: StepRules = { stepTypes: ['bash', 'noop'], validateConfig: () => [], scriptsOf: () => [], maxSteps: 1000 };

const PATH = { name: 'deploy-app', parameters: { replicas: { type: 'int', required: false } } } as const;

const DOCUMENT = `apiVersion: score.dev/v1b1
metadata:
  name: my-app
containers:
  web:
    image: nginx
    command: ["/bin/sh", "-c"]
    variables: &variables
      PORT: "8080"
      URL: \${resources.db.url}
  side:
    image: .
    variables: *variables
resources:
  db:
    type: postgres
environment:
  type: ephemeral
x-team: payments
workflow:
  steps:
    - name: hello
      type: bash
      config:
        command: echo hello
`;

function submit(body: string | Buffer, type: string | undefined = 'application/yaml'): Submission {
  return parseSubmission(body, type, RULES, PATH);
}

function refusal(body: string | Buffer, type?: string): Problem {
  try {
    submit(body, type);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was accepted');
}

test('a document with everything in it', () => {
  const variables = { PORT: '8080', URL: '${resources.db.url}' };
  expect(submit(Buffer.from(DOCUMENT))).toEqual({
    appName: 'my-app',
    score: {
      apiVersion: 'score.dev/v1b1',
      metadata: { name: 'my-app' },
      containers: { web: { image: 'nginx', command: ['/bin/sh', '-c'], variables }, side: { image: '.', variables } },
      resources: { db: { type: 'postgres' } },
    },
    environment: { type: 'ephemeral' },
    workflow: { steps: [{ name: 'hello', type: 'bash', env: {}, config: { command: 'echo hello' } }] },
  });
});

test('references of the steps are checked against the document, the parameters and the other steps', () => {
  const steps = (text: string) =>
    DOCUMENT.replace('        command: echo hello', `        command: |\n          ${text}`);
  expect(
    submit(steps('${metadata.name} ${environment.type} ${resources.db.type} ${parameters.replicas}')),
  ).toBeDefined();
  const problem = refusal(
    steps('${metadata.owner} ${environment.zone}\n          x ${resources.cache.host} ${parameters.replica}'),
  );
  expect(problem.errors.map(({ path, line, column, message }) => [path, line, column, message])).toEqual([
    [
      'workflow.steps[0].config.command',
      26,
      11,
      "'${metadata.owner}' refers to nothing: the document does not have it",
    ],
    [
      'workflow.steps[0].config.command',
      26,
      29,
      "'${environment.zone}' refers to nothing: the document does not have it",
    ],
    [
      'workflow.steps[0].config.command',
      27,
      13,
      "'${resources.cache.host}' refers to nothing: the document does not have it",
    ],
    [
      'workflow.steps[0].config.command',
      27,
      37,
      "'${parameters.replica}' refers to nothing: there is no parameter 'replica'",
    ],
  ]);
});

test('where the Score part is wrong, what steps refer to in it is not told as well', () => {
  const wrong = DOCUMENT.replace('my-app', 'X').replace('echo hello', 'echo ${metadata.owner} ${parameters.x}');
  expect(refusal(wrong).errors.map(({ path }) => path)).toEqual(['metadata.name', 'workflow.steps[0].config.command']);
});

test('the same in JSON', () => {
  const { score } = submit(DOCUMENT);
  expect(submit(JSON.stringify(score), 'application/json; charset=utf-8')).toEqual({
    appName: 'my-app',
    score,
    environment: {},
    workflow: undefined,
  });
});

test('all errors at once, in the order of the lines', () => {
  const problem = refusal(
    DOCUMENT.replace('nginx', '5')
      .replace('type: bash', 'type: bsh')
      .replace('  type: ephemeral', '  - a')
      .replace('my-app', 'X'),
  );
  expect([problem.code, problem.status]).toEqual(['invalid_document', 422]);
  expect(problem.errors.map(({ path, line }) => [path, line])).toEqual([
    ['metadata.name', 3],
    ['containers.web.image', 6],
    ['environment', 17],
    ['workflow.steps[0].type', 23],
  ]);
  expect(problem.detail).toBe("4 errors in the document; line 3: 'name' is not valid: the text 'X'.");
});

test('a list of a thousand errors is cut, and says so', () => {
  const variables = Array.from({ length: 3000 }, (_, at) => `      V${at}: 1\n`).join('');
  const problem = refusal(DOCUMENT.replace('      PORT: "8080"\n', variables));
  expect(problem.errors).toHaveLength(100);
  expect(problem.detail).toMatch(/^More than 1000 errors in the document \(the first 100 are listed\); line 9: /);
});

test.each([
  ['application/yaml', 200],
  ['text/yaml', 200],
  ['application/x-yaml', 200],
  ['text/x-yaml', 200],
  ['Application/YAML; charset=UTF-8', 200],
  ['application/yaml; charset="utf-8"', 200],
  ['application/yaml; charset=latin1', 415],
  ['application/json', 400],
  ['application/x-www-form-urlencoded', 415],
  ['text/plain', 415],
  ['constructor', 415],
  ['', 415],
])('%j: %i', (type, status) => {
  if (status === 200) expect(submit(DOCUMENT, type).appName).toBe('my-app');
  else expect(refusal(DOCUMENT, type).status).toBe(status);
});

test('no content type is a 415 that says what to send', () => {
  expect(refusal(DOCUMENT, '').detail).toContain('application/yaml');
});

test.each([
  ['nothing', '', 400, /empty/],
  ['null', 'null', 422, /must be a mapping, but this is empty/],
  ['a list', '- a', 422, /must be a mapping, but this is a list/],
  ['a number', '5', 422, /must be a mapping, but this is the number 5/],
])('a document that is %s', (_, body, status, detail) => {
  const problem = refusal(body);
  expect([problem.status, problem.detail]).toEqual([status, expect.stringMatching(detail)]);
});

test('damaged documents are accepted or refused, and never anything else', () => {
  const damage = fc.tuple(
    fc.nat(),
    fc.nat({ max: 12 }),
    fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom(...PIECES)),
  );
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), fc.boolean(), (damages, json) => {
      let text = json ? JSON.stringify(submit(DOCUMENT).score, null, 2) : DOCUMENT;
      for (const [at, cut, add] of damages) {
        const place = at % (text.length + 1);
        text = text.slice(0, place) + add + text.slice(place + cut);
      }
      try {
        const { appName, score } = submit(Buffer.from(text), json ? 'application/json' : 'application/yaml');
        expect(appName).toBe(score.metadata.name);
      } catch (error) {
        expect(error).toBeInstanceOf(Problem);
        const problem = error as Problem;
        expect([400, 413, 422]).toContain(problem.status);
        expect(problem.errors.length).toBeGreaterThan(0);
        const rows = text.split('\n');
        for (const { line = 0, column = 0 } of problem.errors) {
          // Every place is inside the document.
          expect(line).toBeGreaterThan(0);
          expect(line).toBeLessThanOrEqual(rows.length);
          expect(column).toBeGreaterThan(0);
          expect(column).toBeLessThanOrEqual((rows[line - 1] ?? '').length + 1);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

const PIECES = [
  '\n',
  '\t',
  '  ',
  '- ',
  ': ',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '&a ',
  '*a',
  '!x ',
  '---\n',
  '<<: ',
  '|',
  '#',
  '%',
  '\0',
];

/** Half a megabyte at most, of which nearly every value is an error. */
function entries(count: number, entry: (at: number) => [string, unknown]): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => entry(at)));
}

const BASE = { apiVersion: 'score.dev/v1b1', metadata: { name: 'ab' }, containers: { ab: { image: 'x' } } };

test.each<[string, unknown]>([
  ['unknown keys', { ...BASE, ...entries(40_000, (at) => [`k${at}`, 1]) }],
  ['keys that are nearly right', { ...BASE, ...entries(25_000, (at) => [`containerz${at}`, 1]) }],
  ['long keys', { ...BASE, ...entries(1000, (at) => [`${'k'.repeat(500)}${at}`, 1]) }],
  ['one endless key', { ...BASE, ['k'.repeat(500_000)]: 1 }],
  ['an endless name of a container', { ...BASE, containers: { ['k'.repeat(500_000)]: 1 } }],
  ['an endless text', { ...BASE, apiVersion: 'k'.repeat(500_000), metadata: { name: 'a-'.repeat(10) } }],
  ['containers that are none', { ...BASE, containers: entries(30_000, (at) => [`A${at}`, {}]) }],
  ['files that are none', { ...BASE, containers: { ab: { image: 'x', files: Array(90_000).fill(1) } } }],
  [
    'variables that are none',
    { ...BASE, containers: { ab: { image: 'x', variables: entries(40_000, (at) => [`${at}`, 1]) } } },
  ],
  ['many workflows', { ...BASE, workflows: entries(40_000, (at) => [`w${at}`, 1]) }],
  ['an endless name of a workflow', { ...BASE, workflows: { ['k'.repeat(500_000)]: null } }],
  ['steps of unknown keys', { ...BASE, workflow: { steps: Array(1000).fill(entries(50, (at) => [`k${at}`, 1])) } }],
  [
    'one step of an endless environment',
    { ...BASE, workflow: { steps: [{ env: entries(40_000, (at) => [`1${at}`, null]) }] } },
  ],
  [
    'a step with endless names',
    { ...BASE, workflow: { steps: [{ name: '-'.repeat(200_000), type: 'b'.repeat(200_000) }] } },
  ],
])('half a megabyte of errors: %s', (_, value) => {
  const body = JSON.stringify(value);
  for (const type of ['application/json', 'application/yaml']) {
    const before = performance.now();
    const problem = refusal(body, type);
    // Measured at half a second at most; the bound only says that it does not hang.
    expect(performance.now() - before).toBeLessThan(5000);
    expect(problem.status).toBeLessThan(500);
    expect(problem.errors.length).toBeLessThanOrEqual(100);
    expect(JSON.stringify(problem.toBody('r')).length).toBeLessThan(100_000);
  }
});

test('a large document: half a megabyte is validated in the time of a request', () => {
  let containers = '';
  for (let i = 0; containers.length < 500_000; i++) {
    containers += `  c${i}:\n    image: registry/image-${i}:tag\n    command: ["/bin/sh", "-c"]\n    variables: {PORT: "80"}\n`;
  }
  const large = DOCUMENT.replace('containers:\n', `containers:\n${containers}`);
  const before = performance.now();
  expect(Object.keys(submit(large).score.containers as object).length).toBeGreaterThan(4000);
  // Measured at about 400 ms; the bound only says that it does not hang.
  expect(performance.now() - before).toBeLessThan(5000);
});
