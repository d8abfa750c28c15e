import type { DocumentIssue } from '../common/yaml/document-issue.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import { checkReferences, type Surroundings } from '../workflows/reading/check-references.js';
import { readWorkflow, type StepRules } from '../workflows/reading/read-workflow.js';
import { workflowAt } from '../workflows/reading/submitted-workflow.js';
import { workflowDocument } from '../workflows/reading/workflow-document.js';
import type { CatalogueFiles } from './catalogue-files.js';
import { chooseWorkflow, type FoundWorkflow } from './choose-workflow.js';
import type { GoldenPath } from './golden-path.js';
import type { ParameterDefinitions } from './parameters.js';
import { readConcurrency } from './concurrency.js';
import { readDescription, readEntry } from './read-entry.js';
import { readParameterList, readParameters } from './read-parameters.js';
import { faultOfOwnSecret, readSecretRules, secretsOf } from './secrets.js';

/** Reads the golden paths of a catalogue, with their workflows; what is wrong is noted in `files`. */
export async function readCatalogue(
  document: ParsedDocument,
  file: string | undefined,
  files: CatalogueFiles,
  rules: StepRules,
): Promise<Map<string, GoldenPath>> {
  const catalogue = new Map<string, GoldenPath>();
  const entries = isMapping(document.value) ? document.value.goldenpaths : undefined;
  if (!isMapping(entries) || Object.keys(entries).length === 0) {
    const hint = 'Write "goldenpaths:" and below it a name for each golden path.';
    files.note(file, document, [{ path: ['goldenpaths'], message: "the catalogue has no 'goldenpaths'", hint }]);
    return catalogue;
  }
  for (const [name, raw] of Object.entries(entries)) {
    if (files.full) break;
    const path = ['goldenpaths', name];
    const issues: DocumentIssue[] = [];
    const entry = readEntry(raw, path, issues);
    const description = readDescription(name, entry, path, issues);
    const parameters = readParameters(entry.parameters, [...path, 'parameters'], issues);
    const found = isMapping(entry.workflow)
      ? inline(document, entry.workflow, [...path, 'workflow'], issues)
      : await chooseWorkflow(files, name, entry.workflow, [...path, 'workflow'], issues);
    // A provider's file may have the parameters: which ones there are is known once it has been read.
    const known = isMapping(entry.workflow) || Object.hasOwn(entry, 'parameters') ? Object.keys(parameters) : undefined;
    const concurrency = readConcurrency(entry.concurrency, [...path, 'concurrency'], issues, known);
    const secrets = readSecretRules(entry, path, issues);
    files.note(file, document, issues);
    if (found === undefined) continue;
    const place = { ...found, file: found.file ?? file };
    const workflow = readGoldenWorkflow(
      place,
      files,
      rules,
      Object.hasOwn(entry, 'parameters') ? parameters : undefined,
      { secretFault: faultOfOwnSecret(name, secrets) },
    );
    const limits = { ...(concurrency && { concurrency }), ...(secrets && { secrets }) };
    if (workflow) catalogue.set(name, { ...description, ...limits, ...workflow });
  }
  return catalogue;
}

function inline(
  document: ParsedDocument,
  workflow: Record<string, unknown>,
  path: readonly string[],
  issues: DocumentIssue[],
): FoundWorkflow | undefined {
  const source = workflowAt(document, workflow, path, issues);
  return source && { document, source };
}

/**
 * The workflow with its parameters, which are the catalogue entry's or else, in a provider's file, its own. Where it is
 * not `known` which there are, every reference to one is taken for good.
 */
export function readGoldenWorkflow(
  { document, source: given, file }: FoundWorkflow,
  files: CatalogueFiles,
  rules: StepRules,
  fromEntry: ParameterDefinitions | undefined,
  { known = true, secretFault }: Pick<Surroundings, 'secretFault'> & { readonly known?: boolean } = {},
): Pick<GoldenPath, 'workflow' | 'parameters' | 'needs' | 'usedSecrets'> | undefined {
  const issues: DocumentIssue[] = [];
  const source = given ?? workflowDocument(document, issues);
  const own = given || !isMapping(document.value) ? undefined : document.value.parameters;
  const fromFile = own === undefined ? undefined : readParameterList(own, ['parameters'], issues);
  if (fromFile && fromEntry && Object.keys(fromEntry).length > 0) {
    const hint = 'Leave them out in one of the two.';
    issues.push({
      path: ['parameters'],
      part: 'key',
      message: 'the catalogue has parameters for this workflow too',
      hint,
    });
  }
  const parameters = fromFile ?? fromEntry ?? {};
  const read = source && files.noting(file, () => readWorkflow(document, source, rules, issues));
  const names = known || fromFile ? { parameters: Object.keys(parameters) } : {};
  const needs = read && checkReferences(read, { ...names, ...(secretFault && { secretFault }) }, rules, issues);
  files.note(file, document, issues);
  if (!read || !needs) return undefined;
  const usedSecrets = secretsOf(read.workflow, rules.scriptsOf);
  return { workflow: read.workflow, parameters, needs, ...(usedSecrets.length > 0 && { usedSecrets }) };
}
