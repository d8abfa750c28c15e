import type { ErrorObject } from 'ajv/dist/2020.js';
import { didYouMean } from '../did-you-mean.js';
import { type DocumentIssue, MAX_COUNTED } from '../yaml/document-issue.js';
import { type DocumentPath, shorten } from '../yaml/document-path.js';
import { describeType, describeValue, typeHint } from '../yaml/plain-words.js';
import { explainCombination, requiredOf } from './explain-combination.js';

/** A JSON Schema as Ajv's `verbose` hands it over with an error. */
export interface SchemaNode {
  readonly description?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly [keyword: string]: unknown;
}

/** What the sentences about one kind of document say in their own words; all of it may be left out. */
export interface Wording {
  /** A value as it was written, where that is known. */
  sourceOf?(path: DocumentPath): string | undefined;
  /** What a value must be, after "must be". */
  ruleOf?(schema: SchemaNode): string | undefined;
  /** What to do where something required is missing. */
  missingHint?(path: DocumentPath, property: string): string | undefined;
  /** What to do about a key that is not known, where that is more than "did you mean". */
  unknownHint?(path: DocumentPath, key: string): string | undefined;
  /** The keys that are known at a place, from those of its schema. */
  knownKeys?(path: DocumentPath, keys: string[]): string[];
  /** Ends the list of the known keys. */
  knownSuffix?(path: DocumentPath): string;
  /** The issue for alternatives none or too many of which hold. */
  alternatives?(error: ErrorObject, path: DocumentPath): DocumentIssue | undefined;
}

/**
 * Says Ajv's errors (of `allErrors` and `verbose`) in plain words: one for each mistake, where Ajv has one for each
 * broken rule. `root` is what was checked.
 */
export function explainErrors(errors: readonly ErrorObject[], root: unknown, wording: Wording): DocumentIssue[] {
  const issues = new Map<string, DocumentIssue>();
  const misspelt = new Set<string>();
  /** The issue that says so, by the key that is missing. */
  const missingKeys = new Map<string, string>();
  for (const error of errors) {
    if (issues.size > MAX_COUNTED) break;
    if (isEcho(error)) continue;
    const path = pathOf(error, root);
    const issue = explain(error, path, wording, misspelt);
    // Several rules can fail for one value: its length and its pattern, say. The first says enough.
    const key = JSON.stringify([issue.part ?? 'value', ...issue.path]);
    if (!issues.has(key)) issues.set(key, issue);
    for (const name of missedBy(error)) missingKeys.set(JSON.stringify(['value', ...path, name]), key);
  }
  // A misspelt key is one mistake, not an unknown key and a missing one.
  for (const key of misspelt) issues.delete(missingKeys.get(key) ?? '');
  return [...issues.values()];
}

/** The keys any of which would have satisfied the rule. */
function missedBy({ keyword, params, parentSchema, data }: ErrorObject): string[] {
  if (keyword === 'required') return [String((params as Record<string, unknown>).missingProperty)];
  if (keyword !== 'oneOf' && keyword !== 'anyOf') return [];
  const keys = ((parentSchema ?? {})[keyword] as unknown[]).flatMap((branch) => requiredOf(branch) ?? []);
  return keys.some((key) => Object.hasOwn(data as object, key)) ? [] : keys;
}

/** Errors that only say that there are others. */
function isEcho({ keyword, schemaPath, data }: ErrorObject): boolean {
  // What is no mapping breaks every rule for mappings; that it is none has been said.
  if (keyword === 'oneOf' && (typeof data !== 'object' || data === null || Array.isArray(data))) return true;
  return keyword === 'propertyNames' || keyword === 'if' || /\/(oneOf|anyOf)\/\d+\//.test(schemaPath);
}

/** Where the value stands that an error is about. */
export function pathOf(error: ErrorObject, root: unknown): DocumentPath {
  const path: (string | number)[] = [];
  let value = root;
  for (const part of error.instancePath.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(value) ? Number(key) : key);
    value = (value as Record<string, unknown>)[key];
  }
  return path;
}

function explain(error: ErrorObject, path: DocumentPath, wording: Wording, misspelt: Set<string>): DocumentIssue {
  const schema = (error.parentSchema ?? {}) as SchemaNode;
  const params = error.params as Record<string, unknown>;
  const name = shorten(String(path.at(-1) ?? 'the document'), 80);
  const { data } = error;
  const rule = wording.ruleOf?.(schema);
  if (error.propertyName !== undefined) {
    const message = `'${shorten(error.propertyName, 80)}' is not a valid name here`;
    return { path: [...path, error.propertyName], part: 'key', message, hint: `Allowed: ${rule ?? ''}.` };
  }
  switch (error.keyword) {
    case 'required':
      return missing(path, String(params.missingProperty), wording);
    case 'additionalProperties':
      return unknownKey(path, String(params.additionalProperty), schema, wording, misspelt);
    case 'type': {
      const source = wording.sourceOf?.(path);
      const expected = params.type as string | string[];
      const message = `'${name}' must be ${rule ?? describeType(expected)}, but is ${describeValue(data, source)}`;
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
    case 'minItems': {
      const hint = wording.missingHint?.(path.slice(0, -1), name) ?? 'Add at least one entry.';
      return { path, message: `'${name}' is empty`, hint };
    }
    case 'minLength':
      if (data !== '' || rule !== undefined) break;
      return { path, message: `'${name}' is an empty text`, hint: 'Give it a value, or remove the key.' };
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties': {
      const unit = error.keyword === 'maxLength' ? 'characters' : 'entries';
      const message = `'${name}' has more than ${Number(params.limit)} ${unit}`;
      return { path, message, hint: `At most ${Number(params.limit)} are allowed.` };
    }
  }
  const combination = wording.alternatives?.(error, path) ?? explainCombination(error, path, wording);
  return combination ?? notMatching(path, name, data, rule, error.message);
}

export function missing(path: DocumentPath, property: string, wording: Wording): DocumentIssue {
  return {
    path: [...path, property],
    message: `'${property}' is missing${path.length > 0 ? ` in '${shorten(String(path.at(-1)), 80)}'` : ''}`,
    hint: wording.missingHint?.(path, property) ?? `Add "${property}:" with its value.`,
  };
}

function unknownKey(
  path: DocumentPath,
  key: string,
  schema: SchemaNode,
  wording: Wording,
  misspelt: Set<string>,
): DocumentIssue {
  const where = path.length > 0 ? ` in '${shorten(String(path.at(-1)), 80)}'` : '';
  const keys = Object.keys(schema.properties ?? {});
  const known = wording.knownKeys?.(path, keys) ?? keys;
  const issue = { path: [...path, key], part: 'key', message: `unknown key '${shorten(key, 80)}'${where}` } as const;
  const own = wording.unknownHint?.(path, key);
  if (own !== undefined) return { ...issue, hint: own };
  const meant = didYouMean(key, known);
  if (meant === undefined) {
    const list = known.length > 0 ? `Known here: ${known.join(', ')}` : 'No keys are known here';
    return { ...issue, hint: `${list}${wording.knownSuffix?.(path) ?? ''}.` };
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

function notMatching(
  path: DocumentPath,
  name: string,
  data: unknown,
  rule: string | undefined,
  fallback: string | undefined,
): DocumentIssue {
  const message = `'${name}' is not valid: ${describeValue(data)}`;
  return { path, message, hint: rule === undefined ? `It ${fallback ?? 'is not allowed'}.` : `It must be ${rule}.` };
}
