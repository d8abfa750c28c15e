import type { ErrorObject } from 'ajv/dist/2020.js';
import { didYouMean } from '../../common/did-you-mean.js';
import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import { type DocumentIssue, MAX_COUNTED } from '../../common/yaml/document-issue.js';
import { describeType, describeValue, typeHint } from '../../common/yaml/plain-words.js';
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

/** Says Ajv's errors in plain words: one for each mistake, where Ajv has one for each broken rule. */
export function explainScoreErrors(errors: readonly ErrorObject[], document: ParsedDocument): DocumentIssue[] {
  const issues = new Map<string, DocumentIssue>();
  const misspelt = new Set<string>();
  const missingKeys = new Set<string>();
  for (const error of errors) {
    if (issues.size > MAX_COUNTED) break;
    if (isEcho(error)) continue;
    const path = pathOf(error, document.value);
    const issue = explain(error, path, document, misspelt);
    // Several rules can fail for one value: its length and its pattern, say. The first says enough.
    const key = JSON.stringify([issue.part ?? 'value', ...issue.path]);
    if (!issues.has(key)) issues.set(key, issue);
    if (error.keyword === 'required') missingKeys.add(key);
  }
  // A misspelt key is one mistake, not an unknown key and a missing one.
  for (const key of misspelt) if (missingKeys.has(key)) issues.delete(key);
  return [...issues.values()];
}

/** Errors that only say that there are others. */
function isEcho({ keyword, schemaPath, data }: ErrorObject): boolean {
  // What is no mapping breaks every rule for mappings; that it is none has been said.
  if (keyword === 'oneOf' && (typeof data !== 'object' || data === null || Array.isArray(data))) return true;
  return keyword === 'propertyNames' || keyword === 'if' || /\/(oneOf|anyOf)\/\d+\//.test(schemaPath);
}

function pathOf(error: ErrorObject, root: unknown): DocumentPath {
  const path: (string | number)[] = [];
  let value = root;
  for (const part of error.instancePath.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(value) ? Number(key) : key);
    value = (value as Record<string, unknown>)[key];
  }
  return path;
}

type Schema = { description?: string; properties?: Record<string, unknown> };

function explain(
  error: ErrorObject,
  path: DocumentPath,
  document: ParsedDocument,
  misspelt: Set<string>,
): DocumentIssue {
  const schema = (error.parentSchema ?? {}) as Schema;
  const params = error.params as Record<string, unknown>;
  const name = shorten(String(path.at(-1) ?? 'the document'), 80);
  const { data } = error;
  if (error.propertyName !== undefined) {
    const message = `'${shorten(error.propertyName, 80)}' is not a valid name here`;
    return { path: [...path, error.propertyName], part: 'key', message, hint: `Allowed: ${schema.description ?? ''}.` };
  }
  switch (error.keyword) {
    case 'required':
      return missing(path, String(params.missingProperty));
    case 'additionalProperties':
      return unknownKey(path, String(params.additionalProperty), Object.keys(schema.properties ?? {}), misspelt);
    case 'type': {
      const source = document.sourceOf(path);
      const expected = params.type as string | string[];
      const words = schema.description ?? describeType(expected);
      const message = `'${name}' must be ${words}, but is ${describeValue(data, source)}`;
      const hint = typeHint(expected, data, name, source);
      return { path, message, ...(hint === undefined ? {} : { hint }) };
    }
    case 'const':
      return {
        path,
        message: `'${name}' must be '${String(params.allowedValue)}', but is ${describeValue(data)}`,
        hint: `Write "${name}: ${String(params.allowedValue)}".`,
      };
    case 'enum':
      return wrongChoice(path, name, data, params.allowedValues as string[]);
    case 'minProperties':
      return { path, message: `'${name}' is empty`, hint: MISSING_HINTS[name] ?? 'Add at least one entry.' };
    case 'oneOf':
    case 'anyOf':
      return alternatives(path, name, data);
    default:
      return notMatching(path, name, data, schema.description, error.message);
  }
}

function missing(path: DocumentPath, property: string): DocumentIssue {
  return {
    path: [...path, property],
    message: `'${property}' is missing${path.length > 0 ? ` in '${shorten(String(path.at(-1)), 80)}'` : ''}`,
    hint: MISSING_HINTS[property] ?? `Add "${property}:" with its value.`,
  };
}

function unknownKey(path: DocumentPath, key: string, known: string[], misspelt: Set<string>): DocumentIssue {
  const where = path.length > 0 ? ` in '${shorten(String(path.at(-1)), 80)}'` : '';
  const names = path.length > 0 ? known : [...known, ...EXTENSION_KEYS];
  const issue = { path: [...path, key], part: 'key', message: `unknown key '${shorten(key, 80)}'${where}` } as const;
  if (key === 'target') return { ...issue, hint: "In a mapping, the key is the target path: remove 'target'." };
  const meant = didYouMean(key, names);
  if (meant === undefined) {
    const extra = path.length > 0 ? '' : '; names of your own begin with x-';
    return { ...issue, hint: `Known here: ${names.join(', ')}${extra}.` };
  }
  misspelt.add(JSON.stringify(['value', ...path, meant]));
  return { ...issue, hint: `Did you mean '${meant}'?` };
}

function wrongChoice(path: DocumentPath, name: string, data: unknown, allowed: readonly string[]): DocumentIssue {
  const meant = typeof data === 'string' ? didYouMean(data, allowed) : undefined;
  return {
    path,
    message: `'${name}' must be one of ${allowed.join(', ')}, but is ${describeValue(data)}`,
    hint: meant === undefined ? `Write one of ${allowed.join(', ')}.` : `Did you mean '${meant}'?`,
  };
}

/** The two places where Score wants one of several keys: files and probes. */
function alternatives(path: DocumentPath, name: string, data: unknown): DocumentIssue {
  if (/Probe$/.test(name)) return { path, message: `'${name}' checks nothing`, hint: 'Add "httpGet:" or "exec:".' };
  const keys = ['source', 'content', 'binaryContent'];
  const given = keys.filter((key) => Object.hasOwn(data as object, key));
  return given.length === 0
    ? { path, message: 'This file has no content', hint: `Add one of ${keys.join(', ')}.` }
    : { path, message: `This file has more than one content: ${given.join(', ')}`, hint: 'Keep one of them.' };
}

function notMatching(
  path: DocumentPath,
  name: string,
  data: unknown,
  description: string | undefined,
  fallback: string | undefined,
): DocumentIssue {
  const rule = description ?? fallback ?? 'valid';
  return { path, message: `'${name}' is not valid: ${describeValue(data)}`, hint: `It must be ${rule}.` };
}
