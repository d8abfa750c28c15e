import { didYouMean } from '../common/did-you-mean.js';
import { DURATION_EXAMPLES, parseDuration } from '../common/duration.js';
import { Pattern } from '../common/pattern.js';
import { MAX_ERRORS, type ProblemItem } from '../common/problem/problem.js';

export const PARAMETER_TYPES = ['string', 'int', 'bool', 'duration', 'enum'] as const;
export type ParameterType = (typeof PARAMETER_TYPES)[number];

/** One parameter of a golden path, as the catalogue defines it. */
export interface ParameterDefinition {
  readonly type: ParameterType;
  readonly description?: string;
  /** As text, whatever the type. Absent: the caller must give one if it is required, and it is left out if not. */
  readonly default?: string;
  readonly required: boolean;
  /** A regular expression that the value, as text, must match. */
  readonly pattern?: string;
  readonly allowedValues?: readonly string[];
  /** Bounds of an `int`, or of a `duration` (e.g. `10m`). */
  readonly min?: string;
  readonly max?: string;
}

export type ParameterDefinitions = Readonly<Record<string, ParameterDefinition>>;

const MAX_LENGTH = 1_024;

/**
 * Checks what a caller gave against the definitions and fills in defaults; the values come back as text. All problems at
 * once, each with the parameter's name behind `prefix` as its path.
 */
export function checkParameters(
  definitions: ParameterDefinitions,
  given: Readonly<Record<string, unknown>>,
  prefix: string,
): { values: Record<string, string>; problems: ProblemItem[] } {
  const values: Record<string, string> = {};
  const problems: ProblemItem[] = [];
  const known = Object.keys(definitions);
  for (const name of Object.keys(given)) {
    if (problems.length >= MAX_ERRORS) break;
    if (!Object.hasOwn(definitions, name)) problems.push(unknownParameter(name, known, prefix));
  }
  for (const [name, definition] of Object.entries(definitions)) {
    const value = given[name];
    if (!Object.hasOwn(given, name) || value === undefined) {
      // Defaults were checked when the catalogue was read.
      if (definition.default !== undefined) values[name] = definition.default;
      if (definition.default !== undefined || !definition.required) continue;
      const hint = definition.description;
      problems.push({ path: prefix + name, message: `parameter '${name}' is required`, ...(hint ? { hint } : {}) });
      continue;
    }
    const fault = faultOf(definition, value);
    if (fault === undefined) values[name] = typeof value === 'string' ? value : JSON.stringify(value);
    else problems.push({ path: prefix + name, message: `parameter '${name}' ${fault}, but is ${shown(value)}` });
  }
  return { values, problems };
}

/** What is wrong with a value, to be read after the parameter's name; undefined when nothing is. */
export function faultOf(definition: ParameterDefinition, value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    return 'must be a single value';
  const text = String(value);
  if (text.length > MAX_LENGTH) return `must have at most ${MAX_LENGTH} characters`;

  if (/\0/.test(text) || !text.isWellFormed()) return 'must be plain text';
  return ofType(definition, text) ?? ofPattern(definition, text);
}

function ofType({ type, allowedValues = [], min, max }: ParameterDefinition, text: string): string | undefined {
  switch (type) {
    case 'string':
      return allowedValues.length > 0 && !allowedValues.includes(text) ? oneOf(allowedValues) : undefined;
    case 'enum':
      return allowedValues.includes(text) ? undefined : oneOf(allowedValues);
    case 'bool':
      return text === 'true' || text === 'false' ? undefined : 'must be true or false';
    case 'int':
      if (!/^-?\d{1,15}$/.test(text)) return 'must be a whole number';
      return outside(Number(text), min, max, Number);
    case 'duration': {
      const duration = parseDuration(text);
      if (duration === undefined) return `must be a duration such as ${DURATION_EXAMPLES}`;
      return outside(duration, min, max, (bound) => parseDuration(bound) ?? NaN);
    }
  }
}

/** To compile one takes longer than all else that a submission asks of its parameters. */
const compiled = new WeakMap<ParameterDefinition, Pattern>();

function ofPattern(definition: ParameterDefinition, text: string): string | undefined {
  if (definition.pattern === undefined) return undefined;
  const pattern = compiled.get(definition) ?? new Pattern(definition.pattern);
  compiled.set(definition, pattern);
  return pattern.test(text) ? undefined : `must match ${definition.pattern}`;
}

function outside(
  value: number,
  min: string | undefined,
  max: string | undefined,
  read: (bound: string) => number,
): string | undefined {
  if (min !== undefined && value < read(min))
    return max === undefined ? `must be at least ${min}` : `must be from ${min} to ${max}`;
  if (max !== undefined && value > read(max))
    return min === undefined ? `must be at most ${max}` : `must be from ${min} to ${max}`;
  return undefined;
}

function oneOf(values: readonly string[]): string {
  return `must be one of ${values.join(', ')}`;
}

function unknownParameter(name: string, known: readonly string[], prefix: string): ProblemItem {
  const meant = didYouMean(name, known);
  const all = known.length > 0 ? `Parameters of this golden path: ${known.join(', ')}.` : 'It takes none.';
  const hint = meant ? `Did you mean '${meant}'?` : all;
  return { path: prefix + name, message: `this golden path has no parameter '${name.slice(0, 80)}'`, hint };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value.slice(0, 100)}'` : JSON.stringify(value)?.slice(0, 100);
}
