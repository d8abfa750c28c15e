import { documentKindOf } from '../../common/yaml/media-type.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import type { Workflow } from '../../workflows/workflow.js';
import { type DocumentIssue, invalidDocument } from '../../common/yaml/document-issue.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import { type ScoreDocument, validateScore } from './validate-score.js';
import { readWorkflow, type StepRules } from '../../workflows/reading/read-workflow.js';
import { submittedWorkflow } from '../../workflows/reading/submitted-workflow.js';

export interface Submission {
  /** `metadata.name`. */
  readonly appName: string;
  /** The Score document without the extension keys. */
  readonly score: ScoreDocument;
  /** What stands under `environment:`, e.g. `{type: 'staging'}`; empty where the document has none. */
  readonly environment: Readonly<Record<string, unknown>>;
  /** The workflow that the document brings along; undefined where it leaves that to the golden path. */
  readonly workflow: Workflow | undefined;
}

/**
 * Reads a submitted body. Throws one `Problem`: 415 for what is no document, 400 for what is not well-formed, 413 for too
 * many steps, and 422 with all errors of the Score part and of the extensions at once.
 */
export function parseSubmission(
  body: Buffer | string,
  mediaType: string | undefined,
  rules: StepRules,
  goldenPath: string,
): Submission {
  const document = parseDocument(body, documentKindOf(mediaType));
  const verdict = validateScore(document);
  const issues = verdict.valid ? [] : [...verdict.issues];
  const source = submittedWorkflow(document, verdict.extensions, goldenPath, issues);
  const workflow = source && readWorkflow(document, source, rules, issues)?.workflow;
  const environment = readEnvironment(verdict.extensions, issues);
  if (!verdict.valid || issues.length > 0) throw invalidDocument(document, issues);
  return { appName: verdict.score.metadata.name, score: verdict.score, environment, workflow };
}

function readEnvironment(
  extensions: Readonly<Record<string, unknown>>,
  issues: DocumentIssue[],
): Readonly<Record<string, unknown>> {
  if (!Object.hasOwn(extensions, 'environment')) return {};
  const { environment } = extensions;
  if (typeof environment === 'object' && environment !== null && !Array.isArray(environment)) {
    return environment as Record<string, unknown>;
  }
  const message = `'environment' must be a mapping, but is ${describeValue(environment)}`;
  issues.push({ path: ['environment'], message, hint: 'Write for example "environment: {type: staging}".' });
  return {};
}
