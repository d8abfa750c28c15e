import { Problem } from '../../common/problem/problem.js';
import { type DocumentIssue, toItem } from '../../common/yaml/document-issue.js';
import { type DocumentPath, formatPath } from '../../common/yaml/document-path.js';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import type { StepDefinition } from '../workflow.js';
import { Fields } from './fields.js';
import type { StepRules } from './read-workflow.js';
import { noteTypeProblems, readConfig } from './step-config.js';
import { readCommonFields } from './step-fields.js';

export interface ReadSteps {
  readonly steps: readonly StepDefinition[];
  /** For each step, the fields of its type that stand beside its common keys. */
  readonly flat: readonly ReadonlySet<string>[];
  /** For each step, the fields that stand there as one value instead of a list. */
  readonly single: readonly ReadonlySet<string>[];
}

const NONE: ReadonlySet<string> = new Set();
const ONE_NAME: ReadonlySet<string> = new Set(['dependsOn']);

/** The steps in the list that stands at `path`; adds all that is wrong to `issues`. */
export function readSteps(
  document: ParsedDocument,
  steps: unknown,
  path: DocumentPath,
  rules: StepRules,
  issues: DocumentIssue[],
): ReadSteps | undefined {
  if (steps === undefined) {
    issues.push({ path, message: "'steps' is missing in the workflow", hint: 'Add "steps:" with a list of steps.' });
    return undefined;
  }
  if (!Array.isArray(steps) || steps.length === 0) {
    const message = Array.isArray(steps)
      ? "'steps' is an empty list"
      : `'steps' must be a list, but is ${describeValue(steps)}`;
    issues.push({ path, message, hint: 'Write each step as an item that begins with "- name:".' });
    return undefined;
  }
  if (steps.length > rules.maxSteps) throw tooMany(document, steps.length, path, rules.maxSteps);
  const read = (steps as unknown[]).map((step, index) => readStep(document, step, [...path, index], rules, issues));
  noteTwins(
    read.map(({ step }) => step.name),
    path,
    issues,
  );
  return {
    steps: read.map(({ step }) => step),
    flat: read.map(({ flat }) => flat),
    single: read.map(({ single }) => single),
  };
}

function readStep(
  document: ParsedDocument,
  raw: unknown,
  path: DocumentPath,
  rules: StepRules,
  issues: DocumentIssue[],
): { step: StepDefinition; flat: ReadonlySet<string>; single: ReadonlySet<string> } {
  if (!isMapping(raw)) {
    const hint = 'Write its "name:" and "type:", and below "config:" what it does.';
    issues.push({ path, message: `A step must be a mapping, but this is ${describeValue(raw)}`, hint });
    return { step: { name: '', type: '', env: {}, config: {} }, flat: NONE, single: NONE };
  }
  const found: DocumentIssue[] = [];
  const fields = new Fields(document, raw, path, found);
  const common = readCommonFields(fields, rules.stepTypes);
  const own = readConfig(fields);
  if (common.type !== '') noteTypeProblems(fields, own, rules.validateConfig(common.type, own.config));
  issues.push(...found);
  const single = typeof raw.dependsOn === 'string' ? ONE_NAME : NONE;
  return { step: { ...common, config: own.config }, flat: own.flat, single };
}

function noteTwins(names: readonly string[], path: DocumentPath, issues: DocumentIssue[]): void {
  const first = new Map<string, number>();
  names.forEach((name, index) => {
    const other = first.get(name);
    if (name === '' || other === undefined) {
      first.set(name, index);
      return;
    }
    const hint = `The other one is ${formatPath([...path, other])}: rename one of them.`;
    issues.push({ path: [...path, index, 'name'], message: `Two steps have the name '${name}'`, hint });
  });
}

function tooMany(document: ParsedDocument, count: number, path: DocumentPath, maxSteps: number): Problem {
  const item = toItem(document, {
    path,
    message: `${count} steps are more than ${maxSteps}`,
    hint: 'Split the workflow.',
  });
  const detail = `The workflow has ${count} steps; this service accepts ${maxSteps} at most.`;
  return new Problem('too_many_steps', detail, { errors: [item] });
}
