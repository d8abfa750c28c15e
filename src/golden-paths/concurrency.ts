import { didYouMean } from '../common/did-you-mean.js';
import type { DocumentIssue } from '../common/yaml/document-issue.js';
import type { DocumentPath } from '../common/yaml/document-path.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { describeValue } from '../common/yaml/plain-words.js';
import type { Concurrency } from '../queue/new-task.js';
import { referencesIn, resolveText, UnresolvedReferences } from '../workflows/references/references.js';
import { WorkflowScope } from '../workflows/references/workflow-scope.js';
import type { WorkflowSpec } from '../workflows/workflow.js';

/** How many tasks of a golden path may run at once; the key is a text with references, one value for each submission. */
export type ConcurrencyRule = Required<Concurrency>;

const FIELDS = ['key', 'limit', 'when_full'];
const WHEN_FULL = ['queue', 'replace', 'reject'] as const;
/** What a submission has before it runs. */
const KNOWN = ['metadata', 'parameters', 'environment', 'resources'];
const MAX_KEY = 255;
const MAX_LIMIT = 10_000;

/** `concurrency` of a catalogue's entry; adds what is wrong to `issues`. */
export function readConcurrency(
  raw: unknown,
  path: DocumentPath,
  issues: DocumentIssue[],
  parameters: readonly string[] | undefined,
): ConcurrencyRule | undefined {
  if (raw === undefined) return undefined;
  const found = issues.length;
  if (!isMapping(raw)) {
    const hint = 'Write "concurrency: {key: \'${metadata.name}\', limit: 1, when_full: queue}".';
    issues.push({ path, message: `'concurrency' must be a mapping, but is ${describeValue(raw)}`, hint });
    return undefined;
  }
  for (const field of Object.keys(raw)) {
    if (FIELDS.includes(field)) continue;
    const meant = didYouMean(field, FIELDS);
    const hint = meant ? `Did you mean '${meant}'?` : `Known: ${FIELDS.join(', ')}.`;
    issues.push({ path: [...path, field], part: 'key', message: `unknown key '${field.slice(0, 80)}'`, hint });
  }
  const { key, limit = 1, when_full: whenFull = 'queue' } = raw;
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY) {
    const hint = 'A fixed name, or one of the submission such as "${metadata.name}".';
    issues.push({ path: [...path, 'key'], message: `'key' must be text of 1 to ${MAX_KEY} characters`, hint });
  } else {
    for (const {
      path: [scope = '', name = ''],
      text,
      offset,
    } of referencesIn(key)) {
      const at = { path: [...path, 'key'], within: offset };
      if (!KNOWN.includes(scope)) {
        const hint = `Known before a task runs: ${KNOWN.join(', ')}.`;
        issues.push({ ...at, message: `${text} is not known when a task is submitted`, hint });
      } else if (scope === 'parameters' && parameters && !parameters.includes(name)) {
        const hint = parameters.length === 0 ? 'This golden path has none.' : `There are: ${parameters.join(', ')}.`;
        issues.push({ ...at, message: `there is no parameter '${name}'`, hint });
      }
    }
  }
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    issues.push({ path: [...path, 'limit'], message: `'limit' must be a whole number from 1 to ${MAX_LIMIT}` });
  }
  if (!WHEN_FULL.includes(whenFull as never)) {
    issues.push({ path: [...path, 'when_full'], message: `'when_full' must be one of ${WHEN_FULL.join(', ')}` });
  }
  if (issues.length > found) return undefined;
  return { key: key as string, limit: limit as number, whenFull: whenFull as ConcurrencyRule['whenFull'] };
}

/** The rule for one submission, its key filled in; or, in words, why that cannot be. */
export function concurrencyFor(rule: ConcurrencyRule, spec: WorkflowSpec): Concurrency | string {
  try {
    const key = resolveText(rule.key, new WorkflowScope(spec));
    if (key === '') return `its concurrency key '${rule.key}' is empty for this submission`;
    if (key.length > MAX_KEY) return `its concurrency key is longer than ${MAX_KEY} characters for this submission`;
    return { ...rule, key };
  } catch (error) {
    if (error instanceof UnresolvedReferences) return `its concurrency key cannot be made: ${error.message}`;
    throw error;
  }
}
