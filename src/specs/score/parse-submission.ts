import { documentKindOf } from '../../common/yaml/media-type.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import type { Workflow } from '../../workflows/workflow.js';
import { type DocumentIssue, invalidDocument } from '../../common/yaml/document-issue.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import { type ScoreDocument, validateScore } from './validate-score.js';
import { readWorkflow, type StepRules } from '../../workflows/reading/read-workflow.js';
import { checkReferences } from '../../workflows/reading/check-references.js';
import type { Scope } from '../../workflows/references/references.js';
import { WorkflowScope } from '../../workflows/references/workflow-scope.js';
import type { GoldenPath } from '../../golden-paths/golden-path.js';
import { faultOfInlineSecret } from '../../golden-paths/secrets.js';
import { submittedWorkflow } from '../../workflows/reading/submitted-workflow.js';

/** The golden path that a document is submitted for. */
export type AskedPath = Pick<GoldenPath, 'name' | 'parameters' | 'secrets'>;

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
  path: AskedPath,
): Submission {
  const document = parseDocument(body, documentKindOf(mediaType));
  const verdict = validateScore(document);
  const issues = verdict.valid ? [] : [...verdict.issues];
  const environment = readEnvironment(verdict.extensions, issues);
  const source = submittedWorkflow(document, verdict.extensions, path.name, issues);
  const read = source && readWorkflow(document, source, rules, issues);
  // Of a document that is none, it is not known what it would have.
  const scope = verdict.valid ? { document: documentScope(verdict.score, environment) } : {};
  const secretFault = faultOfInlineSecret(path.name, path.secrets);
  const surroundings = { parameters: Object.keys(path.parameters), secretFault, ...scope };
  if (read) checkReferences(read, surroundings, rules, issues);
  if (!verdict.valid || issues.length > 0) throw invalidDocument(document, issues);
  return { appName: verdict.score.metadata.name, score: verdict.score, environment, workflow: read?.workflow };
}

/** What references find in a document. */
export function documentScope(score: ScoreDocument, environment: Submission['environment']): Scope {
  return new WorkflowScope({ workflow: { steps: [] }, score, environment, parameters: {} });
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
