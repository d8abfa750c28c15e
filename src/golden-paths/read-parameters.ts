import { didYouMean } from '../common/did-you-mean.js';
import { DURATION_EXAMPLES, parseDuration } from '../common/duration.js';
import { Pattern } from '../common/pattern.js';
import { type DocumentIssue, MAX_COUNTED } from '../common/yaml/document-issue.js';
import type { DocumentPath } from '../common/yaml/document-path.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { describeValue } from '../common/yaml/plain-words.js';
import {
  faultOf,
  PARAMETER_TYPES,
  type ParameterDefinition,
  type ParameterDefinitions,
  type ParameterType,
} from './parameters.js';

const KEYS = ['type', 'description', 'default', 'required', 'pattern', 'allowed_values', 'min', 'max'];
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/** The `parameters:` of a golden path; adds all that is wrong to `issues`. */
export function readParameters(raw: unknown, path: DocumentPath, issues: DocumentIssue[]): ParameterDefinitions {
  if (raw === undefined || raw === null) return {};
  if (!isMapping(raw)) {
    issues.push({ path, message: `'parameters' must be a mapping of names, but is ${describeValue(raw)}` });
    return {};
  }
  const definitions: Record<string, ParameterDefinition> = {};
  for (const [name, value] of Object.entries(raw)) {
    const place = [...path, name];
    checkName(name, { path: place, part: 'key' }, issues);
    if (isMapping(value)) definitions[name] = readParameter(value, place, issues);
    else issues.push({ path: place, message: `a parameter must be a mapping, but is ${describeValue(value)}` });
  }
  return definitions;
}

/** The same as a list, each with its `name`. */
export function readParameterList(raw: unknown, path: DocumentPath, issues: DocumentIssue[]): ParameterDefinitions {
  if (!Array.isArray(raw)) {
    const message = `'parameters' must be a list of parameters, but is ${describeValue(raw)}`;
    issues.push({ path, message, hint: 'Write each as an item that begins with "- name:".' });
    return {};
  }
  const definitions: Record<string, ParameterDefinition> = {};
  raw.forEach((item: unknown, index) => {
    const place = [...path, index];
    const { name, ...definition } = isMapping(item) ? item : {};
    if (typeof name !== 'string') {
      const hint = 'Write each as an item that begins with "- name:".';
      issues.push({ path: place, message: 'a parameter must be a mapping with a name', hint });
      return;
    }
    const at = [...place, 'name'];
    checkName(name, { path: at }, issues);
    if (Object.hasOwn(definitions, name)) issues.push({ path: at, message: `two parameters have the name '${name}'` });
    definitions[name] = readParameter(definition, place, issues);
  });
  return definitions;
}

function checkName(name: string, place: Pick<DocumentIssue, 'path' | 'part'>, issues: DocumentIssue[]): void {
  if (NAME.test(name)) return;
  const hint = 'Allowed: up to 63 letters, digits and "_", no digit first.';
  issues.push({ ...place, message: `'${name.slice(0, 80)}' is no name for a parameter`, hint });
}

function readParameter(raw: Record<string, unknown>, path: DocumentPath, issues: DocumentIssue[]): ParameterDefinition {
  const wrong = (key: string, message: string, hint?: string) =>
    issues.push({ path: [...path, key], message, ...(hint === undefined ? {} : { hint }) });
  for (const key of Object.keys(raw)) {
    if (KEYS.includes(key)) continue;
    if (issues.length > MAX_COUNTED) break;
    const meant = didYouMean(key, KEYS);
    wrong(key, `unknown key '${key.slice(0, 80)}'`, meant ? `Did you mean '${meant}'?` : `Known: ${KEYS.join(', ')}.`);
  }
  const type = typeOf(raw.type, wrong);
  const allowedValues = raw.allowed_values;
  const listed = Array.isArray(allowedValues) && allowedValues.every(isScalar);
  if (allowedValues !== undefined && !listed)
    wrong('allowed_values', `'allowed_values' must be a list of single values`);
  if (type === 'enum' && (!listed || allowedValues.length === 0)) {
    wrong('allowed_values', `an enum needs 'allowed_values'`, 'Add "allowed_values: [one, two]".');
  }
  if (raw.required !== undefined && typeof raw.required !== 'boolean')
    wrong('required', `'required' must be true or false`);
  const pattern = typeof raw.pattern === 'string' ? raw.pattern : undefined;
  const patternFault = pattern === undefined ? undefined : faultOfPattern(pattern);
  if (patternFault !== undefined) wrong('pattern', `'pattern' cannot be used: ${patternFault}`);
  const definition: ParameterDefinition = {
    type,
    required: raw.required === true,
    ...(typeof raw.description === 'string' ? { description: raw.description } : {}),
    ...(pattern === undefined || patternFault !== undefined ? {} : { pattern }),
    ...(listed ? { allowedValues: allowedValues.map(String) } : {}),
    ...bound('min', raw.min, type, wrong),
    ...bound('max', raw.max, type, wrong),
  };
  if (raw.default === undefined || raw.default === null) return definition;
  const fault = faultOf(definition, raw.default);
  // An empty text stands for "none" and need not be a value that a caller could give.
  if (fault !== undefined && raw.default !== '')
    wrong('default', `the default ${fault}, but is '${describe(raw.default)}'`);
  return { ...definition, default: describe(raw.default) };
}

type Wrong = (key: string, message: string, hint?: string) => void;

function typeOf(raw: unknown, wrong: Wrong): ParameterType {
  if (PARAMETER_TYPES.includes(raw as ParameterType)) return raw as ParameterType;
  const meant = typeof raw === 'string' ? didYouMean(raw, PARAMETER_TYPES) : undefined;
  const known = `Known types: ${PARAMETER_TYPES.join(', ')}.`;
  const hint = meant ? `Did you mean '${meant}'?` : raw === 'map' ? `Take a string for each value. ${known}` : known;
  wrong('type', raw === undefined ? `'type' is missing` : `${describeValue(raw)} is no type of a parameter`, hint);
  return 'string';
}

function bound(key: 'min' | 'max', raw: unknown, type: ParameterType, wrong: Wrong): { min?: string; max?: string } {
  if (raw === undefined) return {};
  const text = describe(raw);
  if (type !== 'int' && type !== 'duration') wrong(key, `'${key}' is for parameters of type int and duration`);
  else if (type === 'int' && !/^-?\d{1,15}$/.test(text)) wrong(key, `'${key}' must be a whole number`);
  else if (type === 'duration' && parseDuration(text) === undefined) {
    wrong(key, `'${key}' must be a duration such as ${DURATION_EXAMPLES}`);
  } else return { [key]: text };
  return {};
}

function faultOfPattern(pattern: string): string | undefined {
  try {
    // Forms in a browser use the pattern too, and so it must be good in both.
    new RegExp(pattern, 'u');
    new Pattern(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function describe(value: unknown): string {
  return isScalar(value) ? String(value) : JSON.stringify(value);
}
