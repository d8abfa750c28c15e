import type { ErrorObject } from 'ajv/dist/2020.js';
import { explainErrors, type Wording } from '../../common/schema/explain-errors.js';
import type { DocumentPath } from '../../common/yaml/document-path.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { SCORE_API_VERSION } from './score-schema.js';

/** Keys of the document's root that are ours, not Score's. */
export const EXTENSION_KEYS = ['workflow', 'workflows', 'environment'] as const;

/** What to write where something required is missing, if its name does not say it. */
const MISSING_HINTS: Readonly<Record<string, string>> = {
  apiVersion: `Begin the document with "apiVersion: ${SCORE_API_VERSION}".`,
  metadata: 'Add "metadata:" and below it, indented, "name:" with the name of the application.',
  name: 'Add "name:" with a name of lower-case letters, digits and \'-\'.',
  containers: 'Add "containers:" with at least one container, and below its name "image:".',
  image: 'Add "image:" with the name of the image, or "image: ." if the platform fills it in.',
};

/** Says what Ajv found in a Score document in plain words. */
export function explainScoreErrors(errors: readonly ErrorObject[], document: ParsedDocument): DocumentIssue[] {
  return explainErrors(errors, document.value, { ...WORDING, sourceOf: (path) => document.sourceOf(path) });
}

const WORDING: Wording = {
  ruleOf: ({ description }) => description,
  missingHint: (_path, property) => MISSING_HINTS[property],
  unknownHint: (_path, key) =>
    key === 'target' ? "In a mapping, the key is the target path: remove 'target'." : undefined,
  knownKeys: (path, keys) => (path.length > 0 ? keys : [...keys, ...EXTENSION_KEYS]),
  knownSuffix: (path) => (path.length > 0 ? '' : '; names of your own begin with x-'),
  alternatives,
};

/** The two places where Score wants one of several keys: files and probes. */
function alternatives({ keyword, data }: ErrorObject, path: DocumentPath): DocumentIssue | undefined {
  if (keyword !== 'oneOf' && keyword !== 'anyOf') return undefined;
  const name = String(path.at(-1));
  if (/Probe$/.test(name)) return { path, message: `'${name}' checks nothing`, hint: 'Add "httpGet:" or "exec:".' };
  const keys = ['source', 'content', 'binaryContent'];
  const given = keys.filter((key) => Object.hasOwn(data as object, key));
  return given.length === 0
    ? { path, message: 'This file has no content', hint: `Add one of ${keys.join(', ')}.` }
    : { path, message: `This file has more than one content: ${given.join(', ')}`, hint: 'Keep one of them.' };
}
