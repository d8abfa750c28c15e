import { readLabels } from '../common/http/labels.js';
import { didYouMean } from '../common/did-you-mean.js';
import { MAX_ERRORS, Problem, type ProblemItem } from '../common/problem/problem.js';
import { toItem, type DocumentIssue } from '../common/yaml/document-issue.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { documentKindOf } from '../common/yaml/media-type.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import { describeValue } from '../common/yaml/plain-words.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { type AskedPath, parseSubmission, type Submission } from './score/parse-submission.js';

/** What a body asks to be run: a document's content, and what stands beside it in the JSON form. */
export interface Execution extends Submission {
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string>>;
}

const KEYS = ['app_name', 'parameters', 'labels', 'spec'];
const APP_NAME = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/;

/**
 * The body of an execution: a Score document, or JSON `{app_name, parameters, labels, spec}` where `spec` is a Score
 * document and may be left out, for paths that need none.
 */
export function readExecution(
  body: Buffer,
  contentType: string | undefined,
  rules: StepRules,
  path: AskedPath,
): Execution {
  const request = requestOf(body, contentType);
  if (!request) return { ...parseSubmission(body, contentType, rules, path), parameters: {}, labels: {} };
  const { document, fields } = request;
  const errors: ProblemItem[] = [];
  const issue = (issue: DocumentIssue) => errors.push(toItem(document, issue));
  for (const key of Object.keys(fields)) {
    if (KEYS.includes(key)) continue;
    if (errors.length >= MAX_ERRORS) break;
    const meant = didYouMean(key, KEYS);
    const hint = meant ? `Did you mean '${meant}'?` : `Known: ${KEYS.join(', ')}.`;
    issue({ path: [key], part: 'key', message: `unknown key '${key.slice(0, 80)}'`, hint });
  }
  const { app_name: appName, parameters = {}, labels = {}, spec } = fields;
  if (appName !== undefined && (typeof appName !== 'string' || !APP_NAME.test(appName))) {
    const hint = 'Allowed: 2 to 63 lower-case letters, digits and "-", a letter or digit at both ends.';
    issue({ path: ['app_name'], message: `'app_name' is not a valid name`, hint });
  }
  if (appName === undefined && spec === undefined) {
    issue({ path: ['app_name'], message: "'app_name' is missing", hint: 'Give it, or a Score document as "spec".' });
  }
  for (const [key, value] of Object.entries({ parameters, labels })) {
    if (!isMapping(value))
      issue({ path: [key], message: `'${key}' must be an object, but is ${describeValue(value)}` });
  }
  const read = isMapping(labels)
    ? readLabels(
        Object.entries(labels).map(([k, v]) => [`label.${k}`, v]),
        errors,
      )
    : {};
  const submission = spec === undefined ? withoutDocument(appName) : readSpec(spec, rules, path, errors);
  if (errors.length > 0) {
    throw new Problem('invalid_document', `${errors[0]!.path}: ${errors[0]!.message}`, { errors });
  }
  return {
    ...(typeof appName === 'string' ? named(submission, appName) : submission),
    parameters: parameters as Record<string, unknown>,
    labels: read,
  };
}

/** The JSON form is known by what it is not: it has no apiVersion. */
function requestOf(
  body: Buffer,
  contentType: string | undefined,
): { document: ParsedDocument; fields: Record<string, unknown> } | undefined {
  if (documentKindOf(contentType) !== 'json') return undefined;
  const document = parseDocument(body, 'json');
  const { value } = document;
  return isMapping(value) && !Object.hasOwn(value, 'apiVersion') ? { document, fields: value } : undefined;
}

function withoutDocument(appName: unknown): Submission {
  const name = String(appName);
  const score = { apiVersion: 'score.dev/v1b1', metadata: { name }, containers: {} };
  return { appName: name, score, environment: {}, workflow: undefined };
}

/** The name beside the document is the application's, in the document too: its steps refer to it there. */
function named(submission: Submission, appName: string): Submission {
  const { score } = submission;
  return { ...submission, appName, score: { ...score, metadata: { ...score.metadata, name: appName } } };
}

/** Its errors are told by path only: the document stands inside another one. */
function readSpec(spec: unknown, rules: StepRules, path: AskedPath, errors: ProblemItem[]): Submission {
  try {
    return parseSubmission(JSON.stringify(spec), 'application/json', rules, path);
  } catch (error) {
    if (!(error instanceof Problem) || error.errors.length === 0) throw error;
    for (const { path, message, hint } of error.errors) {
      errors.push({ path: path ? `spec.${path}` : 'spec', message, ...(hint === undefined ? {} : { hint }) });
    }
    return withoutDocument('');
  }
}
