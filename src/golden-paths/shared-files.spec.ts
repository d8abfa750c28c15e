import { existsSync, readFileSync } from 'node:fs';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { validateText } from './validate-catalogue.js';

/** Files as platform teams write them elsewhere. They are no part of the project. */
const FOLDER = new URL('../../../shared/score/goldenpaths/', import.meta.url);
const title = existsSync(FOLDER)
  ? 'files from elsewhere'
  : `files from elsewhere (skipped: there is no ${FOLDER.pathname})`;

const TYPES = ['bash', 'http', 'terraform', 'kubernetes', 'ansible', 'git', 'policy', 'wait', 'approval', 'noop'];
const RULES: StepRules = {
  stepTypes: TYPES,
  validateConfig: () => [],
  scriptsOf: (type) => (type === 'bash' || type === 'policy' ? ['command', 'script'] : []),
  maxSteps: 100,
};

/** `line: message` of all that is wrong; for files of the catalogue, `file: message`. */
async function faults(file: string, change: (text: string) => string = (text) => text) {
  const text = change(readFileSync(new URL(file, FOLDER), 'utf8'));
  const place = { file: new URL('goldenpaths.yaml', FOLDER).pathname, rules: RULES, closed: [], inForce: new Map() };
  const { errors, goldenPaths } = await validateText(Buffer.from(text), 'application/yaml', place);
  return { goldenPaths, errors: errors.map(({ line, file: of, message }) => `${of ?? line}: ${message}`) };
}

/** The step types in a text that there are none of, each with its line. */
function unknownTypes(file: string): string[] {
  const lines = readFileSync(new URL(file, FOLDER), 'utf8').split('\n');
  return lines.flatMap((line, at) => {
    const type = /^ +type: ([a-z-]+) *$/.exec(line)?.[1];
    return type === undefined || TYPES.includes(type) ? [] : [`${at + 1}: unknown step type '${type}'`];
  });
}

/** The lines with an `outputFile` outside the workspace. */
function outputFiles(file: string): string[] {
  const lines = readFileSync(new URL(file, FOLDER), 'utf8').split('\n');
  return lines.flatMap((line, at) => {
    const name = /outputFile: (\/tmp\/.*)$/.exec(line)?.[1];
    if (name === undefined) return [];
    return [`${at + 1}: 'outputFile' must be a path inside the task's workspace, but is the text '${name}'`];
  });
}

const byLine = (lines: string[]) => lines.sort((a, b) => parseInt(a) - parseInt(b));

/** The types replaced by one that there is, and outputs within reach. */
const made = (text: string) => text.replace(/type: (?!map)[a-z-]+ *$/gm, 'type: noop').replaceAll('/tmp/', '');

(existsSync(FOLDER) ? describe : describe.skip)(title, () => {
  it('conditions: step types that there are none of, and a variable that nobody has', async () => {
    const file = 'conditional-workflow.yaml';
    const variable = "'$SKIP_TESTS' has no value: neither the step's env nor the workflow's variables have it";
    const expected = [...unknownTypes(file), `146: ${variable}`, `151: ${variable}`];
    expect(expected).toHaveLength(20);
    expect((await faults(file)).errors).toEqual(byLine(expected));
    // With types that there are, nothing else is wrong in ten workflows.
    const { errors } = await faults(file, made);
    expect(errors).toEqual([`146: ${variable}`, `151: ${variable}`]);
    const given = await faults(file, (text) => made(text).replaceAll('unless: $SKIP_TESTS\n', 'unless: false\n'));
    expect(given).toMatchObject({ errors: [], goldenPaths: { length: 10 } });
  });

  it('variables and outputs: files outside the workspace, and a variable that is no one of the workflow', async () => {
    const file = 'context-workflow.yaml';
    const variable =
      "118: '${workflow.BUILD_NUMBER}' refers to nothing: there is no variable of the workflow 'BUILD_NUMBER'";
    const expected = [...unknownTypes(file), ...outputFiles(file), variable];
    expect(expected).toHaveLength(32);
    expect((await faults(file)).errors).toEqual(byLine(expected));
    expect((await faults(file, made)).errors).toEqual([variable]);
  });

  it('parallel groups: nothing but the types', async () => {
    const file = 'parallel-workflow.yaml';
    expect((await faults(file)).errors).toEqual(unknownTypes(file));
    const names = ['parallel-deployment-example', 'simple-parallel-example', 'mixed-execution-example'];
    expect(await faults(file, made)).toEqual({ errors: [], goldenPaths: names });
  });

  it('a deployment: nothing but the types, although its script is full of references', async () => {
    const file = 'deploy-app.yaml';
    expect(unknownTypes(file)).toHaveLength(4);
    expect((await faults(file)).errors).toEqual(unknownTypes(file));
    expect(await faults(file, made)).toEqual({ errors: [], goldenPaths: ['deploy-app'] });
  });

  it('a provider´s file: a map as parameter, and a template that is more than a parameter', async () => {
    const file = 'provision-namespace.yaml';
    const template = (text: string) => `Go templates such as ${text} are not supported`;
    expect((await faults(file)).errors).toEqual([
      "32: the text 'map' is no type of a parameter",
      `48: ${template('{{- range $key, $value := .parameters.labels }}')}`,
      `49: ${template('{{ $key }}')}`,
      `49: ${template('{{ $value }}')}`,
      `50: ${template('{{- end }}')}`,
    ]);
    const without = (text: string) =>
      text.replace(/ *- name: labels[^]*?\n\n/, '\n').replace(/ *\{\{- range[^]*?end \}\}\n/, '');
    expect(await faults(file, without)).toEqual({ errors: [], goldenPaths: ['provision-namespace'] });
  });

  it('a catalogue: nothing but that its files are not there', async () => {
    const { goldenpaths } = parseDocument(readFileSync(new URL('goldenpaths.yaml', FOLDER)), 'yaml').value as {
      goldenpaths: Record<string, unknown>;
    };
    const names = Object.keys(goldenpaths);
    expect(names).toHaveLength(7);
    const { errors } = await faults('goldenpaths.yaml');
    expect(errors).toEqual(names.map((name) => `workflows/${name}.yaml: cannot be read (ENOENT)`));
    const inline = (text: string) => text.replace(/workflow: \.\/.*/g, 'workflow: {steps: [{name: a, type: noop}]}');
    expect(await faults('goldenpaths.yaml', inline)).toEqual({ errors: [], goldenPaths: names });
  });
});
