import { readFile } from 'node:fs/promises';
import { dirname, relative, resolve, sep } from 'node:path';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { toItem, type DocumentIssue } from '../common/yaml/document-issue.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import { describeValue } from '../common/yaml/plain-words.js';
import { readWorkflow, type StepRules } from '../workflows/reading/read-workflow.js';
import { referencesIn, SCOPES } from '../workflows/reading/references.js';
import type { Workflow } from '../workflows/workflow.js';
import { type Catalogue, CatalogueError, type GoldenPath } from './golden-path.js';
import type { ParameterDefinitions } from './parameters.js';
import { readParameters } from './read-parameters.js';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const KEYS = ['workflow', 'description', 'category', 'tags', 'estimated_duration', 'parameters'];

/**
 * Reads the catalogue and the workflow files it names, all of them before it complains: a CatalogueError has a line for
 * every error, in the form `file:line:column: what is wrong. What to do.`
 */
export async function loadCatalogue(file: string, rules: StepRules): Promise<Catalogue> {
  const faults: string[] = [];
  const catalogue = new Map<string, GoldenPath>();
  const document = await parseFile(file, faults, 'Set GOLDEN_PATHS_FILE to the catalogue.');
  const entries = document && entriesOf(document, file, faults);
  for (const [name, entry] of Object.entries(entries ?? {})) {
    const path = await readEntry(document!, file, name, entry, rules, faults);
    if (path) catalogue.set(name, path);
  }
  if (faults.length > 0) throw new CatalogueError(faults);
  return catalogue;
}

function entriesOf(document: ParsedDocument, file: string, faults: string[]): Record<string, unknown> | undefined {
  const root = document.value;
  const entries = isMapping(root) ? root.goldenpaths : undefined;
  if (isMapping(entries) && Object.keys(entries).length > 0) return entries;
  const message = "the catalogue has no 'goldenpaths'";
  const hint = 'Write "goldenpaths:" and below it a name for each golden path.';
  faults.push(line(file, toItem(document, { path: ['goldenpaths'], message, hint })));
  return undefined;
}

async function readEntry(
  document: ParsedDocument,
  file: string,
  name: string,
  raw: unknown,
  rules: StepRules,
  faults: string[],
): Promise<GoldenPath | undefined> {
  const path = ['goldenpaths', name];
  const issues: DocumentIssue[] = [];
  const entry = isMapping(raw) ? raw : {};
  if (!isMapping(raw)) issues.push({ path, message: `a golden path must be a mapping, but is ${describeValue(raw)}` });
  if (!NAME.test(name)) {
    const hint = 'Allowed: up to 63 lower-case letters, digits and "-", a letter or digit first.';
    issues.push({ path, part: 'key', message: `'${name.slice(0, 80)}' is no name for a golden path`, hint });
  }
  for (const key of Object.keys(entry)) {
    if (KEYS.includes(key)) continue;
    const meant = didYouMean(key, KEYS);
    const hint = meant ? `Did you mean '${meant}'?` : `Known: ${KEYS.join(', ')}.`;
    issues.push({ path: [...path, key], part: 'key', message: `unknown key '${key.slice(0, 80)}'`, hint });
  }
  const tags = entry.tags ?? [];
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    issues.push({ path: [...path, 'tags'], message: "'tags' must be a list of words" });
  }
  for (const key of ['description', 'category', 'estimated_duration']) {
    if (entry[key] !== undefined && typeof entry[key] !== 'string') {
      issues.push({ path: [...path, key], message: `'${key}' must be text, but is ${describeValue(entry[key])}` });
    }
  }
  const parameters = readParameters(entry.parameters, [...path, 'parameters'], issues);
  const target = workflowFile(file, entry.workflow);
  if (target === undefined) {
    const hint = 'Write "workflow: ./workflows/<name>.yaml", a path below the catalogue.';
    issues.push({ path: [...path, 'workflow'], message: "'workflow' must name a file beside the catalogue", hint });
  }
  faults.push(...issues.map((issue) => line(file, toItem(document, issue))));
  const workflow = target && (await readWorkflowFile(target, name, parameters, rules, faults));
  if (!workflow) return undefined;
  return {
    name,
    description: String((entry.description as string | undefined) ?? ''),
    ...(typeof entry.category === 'string' ? { category: entry.category } : {}),
    ...(typeof entry.estimated_duration === 'string' ? { estimatedDuration: entry.estimated_duration } : {}),
    tags: tags as string[],
    parameters,
    workflow,
  };
}

/** Only files below the catalogue's own folder: what a catalogue can name is what its owner put beside it. */
function workflowFile(catalogue: string, named: unknown): string | undefined {
  if (typeof named !== 'string' || named === '') return undefined;
  const folder = dirname(resolve(catalogue));
  const target = resolve(folder, named);
  return relative(folder, target).split(sep)[0] === '..' ? undefined : target;
}

async function readWorkflowFile(
  file: string,
  goldenPath: string,
  parameters: ParameterDefinitions,
  rules: StepRules,
  faults: string[],
): Promise<Workflow | undefined> {
  const document = await parseFile(file, faults, `Correct 'workflow' of golden path '${goldenPath}'.`);
  if (!document) return undefined;
  const issues: DocumentIssue[] = [];
  const { kind, spec } = isMapping(document.value) ? document.value : {};
  if (kind !== 'Workflow') {
    const hint = 'A workflow file begins with "kind: Workflow" and has its steps below "spec:".';
    issues.push({ path: ['kind'], message: `'kind' must be Workflow, but is ${describeValue(kind)}`, hint });
  }
  const source = { entries: isMapping(spec) ? spec : {}, placeOf: () => ['spec'] };
  const workflow = readWorkflow(document, source, rules, issues)?.workflow;
  workflow?.steps.forEach((step, index) => {
    for (const [variable, text] of Object.entries(step.env)) {
      const path = ['spec', 'steps', index, 'env', variable];
      for (const reference of referencesIn(text)) {
        const fault = faultOfReference(reference, parameters);
        if (fault) issues.push({ path, ...fault });
      }
    }
  });
  faults.push(...issues.map((issue) => line(file, toItem(document, issue))));
  return workflow;
}

function faultOfReference(
  reference: string,
  parameters: ParameterDefinitions,
): { message: string; hint: string } | undefined {
  const [scope = '', name = ''] = reference.split('.');
  if (!(SCOPES as readonly string[]).includes(scope)) {
    return {
      message: `'\${${reference}}' refers to nothing`,
      hint: `Known: ${SCOPES.map((known) => `\${${known}.…}`).join(', ')}.`,
    };
  }
  if (scope !== 'parameters' || Object.hasOwn(parameters, name)) return undefined;
  const meant = didYouMean(name, Object.keys(parameters));
  const hint = meant ? `Did you mean '\${parameters.${meant}}'?` : 'Add it to the parameters of the golden path.';
  return { message: `there is no parameter '${name}'`, hint };
}

async function parseFile(file: string, faults: string[], fix: string): Promise<ParsedDocument | undefined> {
  let text: Buffer;
  try {
    text = await readFile(file);
  } catch (error) {
    faults.push(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code}). ${fix}`);
    return undefined;
  }
  try {
    return parseDocument(text, 'yaml');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.errors.length === 0) faults.push(`${file}: ${error.detail}`);
    faults.push(...error.errors.map((item) => line(file, item)));
    return undefined;
  }
}

function line(file: string, { line: row, column, path, message, hint }: ProblemItem): string {
  const place = row === undefined ? file : `${file}:${row}:${column ?? 1}`;
  return `${place}: ${path ? `${path}: ` : ''}${message}.${hint ? ` ${hint}` : ''}`;
}
