import { didYouMean } from '../../common/did-you-mean.js';
import { Problem } from '../../common/problem/problem.js';
import { type DocumentPath, formatPath, shorten } from '../../common/yaml/document-path.js';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import type { StepConfig, StepProblem } from '../step-runner.js';
import type { StepDefinition } from '../workflow.js';
import { type DocumentIssue, toItem } from '../../common/yaml/document-issue.js';
import { describeValue, typeHint } from '../../common/yaml/plain-words.js';
import { StepFields } from './step-fields.js';

export interface StepRules {
  /** The step types that exist. */
  readonly stepTypes: readonly string[];
  /** All that is wrong with the config of a step of a known type; paths are relative to the config. */
  readonly validateConfig: (type: string, config: StepConfig) => StepProblem[];
  /** The fields of a type's config that hold bash scripts. */
  readonly scriptsOf: (type: string) => readonly string[];
  readonly maxSteps: number;
}

/**
 * The steps that a document brings along, from `workflow: {steps}` or the only entry of `workflows:`; undefined where it
 * has neither. Adds all that is wrong to `issues`; the steps are of use only if nothing was added.
 */
export function readWorkflow(
  document: ParsedDocument,
  extensions: Readonly<Record<string, unknown>>,
  rules: StepRules,
  issues: DocumentIssue[],
): StepDefinition[] | undefined {
  const path = choose(extensions, issues);
  if (path === undefined) return undefined;
  const workflow = path.reduce<unknown>((value, key) => (value as Record<string | number, unknown>)[key], extensions);
  const name = shorten(String(path.at(-1)), 80);
  if (!isMapping(workflow)) {
    const hint = Array.isArray(workflow) ? 'Put "steps:" before the list.' : typeHint('object', workflow, name);
    issues.push(issue(path, `'${name}' must be a mapping, but is ${describeValue(workflow)}`, hint));
    return undefined;
  }
  for (const key of Object.keys(workflow)) {
    if (key === 'steps') continue;
    const hint = didYouMean(key, ['steps']) === undefined ? 'Known here: steps.' : "Did you mean 'steps'?";
    issues.push({ ...issue([...path, key], `unknown key '${shorten(key, 80)}' in a workflow`, hint), part: 'key' });
  }
  return readSteps(document, workflow.steps, [...path, 'steps'], rules, issues);
}

/** Where the one workflow stands. */
function choose(extensions: Readonly<Record<string, unknown>>, issues: DocumentIssue[]): DocumentPath | undefined {
  const one = Object.hasOwn(extensions, 'workflow');
  if (!Object.hasOwn(extensions, 'workflows')) return one ? ['workflow'] : undefined;
  const { workflows } = extensions;
  if (one) {
    const message = "The document has both 'workflow' and 'workflows'";
    issues.push({ ...issue(['workflows'], message, 'Keep one of them.'), part: 'key' });
    return ['workflow'];
  }
  if (!isMapping(workflows)) {
    const message = `'workflows' must be a mapping of names to workflows, but is ${describeValue(workflows)}`;
    issues.push(issue(['workflows'], message, 'For one workflow without a name, write "workflow:".'));
    return undefined;
  }
  const names = Object.keys(workflows);
  if (names[0] !== undefined && names.length === 1) return ['workflows', names[0]];
  if (names.length === 0) {
    issues.push(issue(['workflows'], "'workflows' is empty", 'Add one workflow with its steps, or remove the key.'));
  } else {
    const list = shorten(names.join(', '), 200);
    const message = `'workflows' has ${names.length} workflows (${list}); one submission runs one of them`;
    issues.push(issue(['workflows'], message, 'Choose one of them, and leave the others out.'));
  }
  return undefined;
}

/** The steps in the list that stands at `path`; adds all that is wrong to `issues`. */
export function readSteps(
  document: ParsedDocument,
  steps: unknown,
  path: DocumentPath,
  rules: StepRules,
  issues: DocumentIssue[],
): StepDefinition[] | undefined {
  if (steps === undefined) {
    issues.push(issue(path, "'steps' is missing in the workflow", 'Add "steps:" with a list of steps.'));
    return undefined;
  }
  if (!Array.isArray(steps) || steps.length === 0) {
    const message = Array.isArray(steps)
      ? "'steps' is an empty list"
      : `'steps' must be a list, but is ${describeValue(steps)}`;
    issues.push(issue(path, message, 'Write each step as an item that begins with "- name:".'));
    return undefined;
  }
  if (steps.length > rules.maxSteps) throw tooMany(document, steps.length, path, rules.maxSteps);
  const names = new Map<string, DocumentPath>();
  return (steps as unknown[]).map((step, index) => readStep(document, step, [...path, index], rules, issues, names));
}

function readStep(
  document: ParsedDocument,
  step: unknown,
  path: DocumentPath,
  rules: StepRules,
  issues: DocumentIssue[],
  names: Map<string, DocumentPath>,
): StepDefinition {
  const found: DocumentIssue[] = [];
  const raw = isMapping(step) ? step : {};
  const fields = new StepFields(document, raw, path, found);
  const definition = readFields(fields, rules);
  if (!isMapping(step)) {
    const hint = 'Write its "name:" and "type:", and below "config:" what it does.';
    issues.push(issue(path, `A step must be a mapping, but this is ${describeValue(step)}`, hint));
    return definition;
  }
  const first = names.get(definition.name);
  if (definition.name !== '' && first !== undefined) {
    const message = `Two steps have the name '${definition.name}'`;
    found.push(issue([...path, 'name'], message, `The other one is ${formatPath(first)}: rename one of them.`));
  }
  names.set(definition.name, first ?? path);
  if (definition.type !== '') found.push(...ofType(definition, path, rules, found));
  issues.push(...found);
  return definition;
}

function readFields(fields: StepFields, rules: StepRules): StepDefinition {
  const name = fields.name() ?? '';
  const type = fields.type(rules.stepTypes) ?? '';
  const env = fields.env();
  const timeoutSeconds = fields.timeoutSeconds();
  const config = fields.mapping('config');
  fields.unknownKeys();
  return { name, type, env, config, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
}

/** What the step's own type finds, unless the general check found something at the same place. */
function ofType(
  { type, config }: StepDefinition,
  path: DocumentPath,
  rules: StepRules,
  found: readonly DocumentIssue[],
): DocumentIssue[] {
  return rules
    .validateConfig(type, config)
    .map((problem) => issue([...path, 'config', ...problem.path], problem.message, problem.hint))
    .filter((other) => !found.some((known) => isWithin(other.path, known.path)));
}

function isWithin(path: DocumentPath, outer: DocumentPath): boolean {
  return outer.every((segment, at) => path[at] === segment);
}

function tooMany(document: ParsedDocument, count: number, path: DocumentPath, maxSteps: number): Problem {
  const item = toItem(document, issue(path, `${count} steps are more than ${maxSteps}`, 'Split the workflow.'));
  const detail = `The workflow has ${count} steps; this service accepts ${maxSteps} at most.`;
  return new Problem('too_many_steps', detail, { errors: [item] });
}

function issue(path: DocumentPath, message: string, hint?: string): DocumentIssue {
  return { path, message, ...(hint === undefined ? {} : { hint }) };
}
