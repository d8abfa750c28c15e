import type { ErrorObject } from 'ajv/dist/2020.js';
import type { DocumentIssue } from '../yaml/document-issue.js';
import { type DocumentPath, shorten } from '../yaml/document-path.js';
import type { SchemaNode, Wording } from './explain-errors.js';

/**
 * Rules about which keys stand together: `oneOf` and `anyOf` of `required`, `not: {required}`, `dependentRequired`, and `false` for a key that
 * means nothing beside the others. Undefined for every other rule.
 */
export function explainCombination(
  error: ErrorObject,
  path: DocumentPath,
  wording: Wording,
): DocumentIssue | undefined {
  const { keyword, data } = error;
  const name = shorten(String(path.at(-1) ?? ''), 80);
  if (keyword === 'false schema') {
    return { path, part: 'key', message: `'${name}' has no meaning here`, hint: hintOf(error, name) };
  }
  const schema = (error.parentSchema ?? {}) as SchemaNode;
  const given = (key: string) => typeof data === 'object' && data !== null && Object.hasOwn(data, key);
  if (keyword === 'not') {
    const keys = requiredOf(schema.not);
    return keys && tooMany(path, keys);
  }
  if (keyword === 'dependentRequired') {
    const { property, missingProperty } = error.params as Record<string, string>;
    const hint = wording.missingHint?.(path, missingProperty!) ?? `Add "${missingProperty}:", or remove '${property}'.`;
    return {
      path: [...path, property!],
      part: 'key',
      message: `'${property}' needs '${missingProperty}' beside it`,
      hint,
    };
  }
  if (keyword !== 'oneOf' && keyword !== 'anyOf') return undefined;
  const branches = (schema[keyword] as unknown[]).map(requiredOf);
  const keys = branches.flatMap((branch) => branch ?? []);
  if (keys.length === 0 || !branches.every(Boolean)) return undefined;
  const present = keys.filter(given);
  if (keyword === 'oneOf' && present.length > 1) return tooMany(path, present);
  const list = keys.map((key) => `'${key}'`).join(' or ');
  const hint = wording.missingHint?.(path, keys[0]!) ?? `Add "${keys[0]}:" with its value.`;
  return { path: [...path, keys[0]!], message: `${list} is missing`, hint };
}

function tooMany(path: DocumentPath, keys: readonly string[]): DocumentIssue {
  const list = `${keys
    .slice(0, -1)
    .map((key) => `'${key}'`)
    .join(', ')} and '${keys.at(-1)}'`;
  const message = `${list} cannot stand together`;
  return { path: [...path, keys.at(-1)!], part: 'key', message, hint: 'Keep one of them.' };
}

/** The keys that a branch asks for, if that is all it does. */
export function requiredOf(branch: unknown): readonly string[] | undefined {
  const { required, ...rest } = (branch ?? {}) as SchemaNode;
  return Array.isArray(required) && Object.keys(rest).length === 0 ? (required as string[]) : undefined;
}

/** Where the rule hangs on an operation, its name: Ajv gives no more of the rule than its place. */
function hintOf({ schemaPath }: ErrorObject, name: string): string {
  const operation = /\/allOf\/[^/]*\/then\//.test(schemaPath) ? ' with this operation' : '';
  return `Nothing uses '${name}'${operation}: remove it.`;
}
