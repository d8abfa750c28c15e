import type { GoldenPath } from './golden-path.js';
import type { ParameterDefinition } from './parameters.js';
import { DURATION_PATTERN } from '../common/duration.js';

/**
 * JSON Schema 2020-12 of a golden path's parameters, for forms. It says all but the bounds of a duration and the pattern
 * of a number, for which JSON Schema has no words: those are checked at submission only.
 */
export function parameterSchema({ name, description, parameters }: GoldenPath): Record<string, unknown> {
  const entries = Object.entries(parameters);
  const required = entries.filter(([, definition]) => isRequired(definition)).map(([parameter]) => parameter);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: name,
    ...(description === '' ? {} : { description }),
    type: 'object',
    properties: Object.fromEntries(
      entries.map(([parameter, definition]) => [parameter, property(parameter, definition)]),
    ),
    required,
    additionalProperties: false,
  };
}

/** One with a default need not be given. */
function isRequired(definition: ParameterDefinition): boolean {
  return definition.required && definition.default === undefined;
}

function property(name: string, definition: ParameterDefinition): Record<string, unknown> {
  const { description, default: fallback } = definition;
  return {
    title: titleOf(name),
    ...(description === undefined ? {} : { description }),
    ...rulesOf(definition),
    // An empty default stands for "none", which is no value of most types.
    ...(fallback === undefined || fallback === '' ? {} : { default: valueOf(definition, fallback) }),
  };
}

function rulesOf(definition: ParameterDefinition): Record<string, unknown> {
  const { type, pattern, allowedValues, min, max } = definition;
  switch (type) {
    case 'bool':
      return { type: 'boolean' };
    case 'int':
      return {
        type: 'integer',
        ...(min === undefined ? {} : { minimum: Number(min) }),
        ...(max === undefined ? {} : { maximum: Number(max) }),
      };
    case 'enum':
      return { type: 'string', enum: [...(allowedValues ?? [])] };
    case 'duration': {
      const bounds = {
        ...(min === undefined ? {} : { 'x-minimum': min }),
        ...(max === undefined ? {} : { 'x-maximum': max }),
      };
      // JSON Schema's own format of this name is ISO 8601: `PT5M`, where a duration here is `5m`.
      return { type: 'string', format: 'turnpike-duration', ...patterns(DURATION_PATTERN, pattern), ...bounds };
    }
    case 'string':
      return {
        type: 'string',
        maxLength: 1024,
        ...(allowedValues === undefined || allowedValues.length === 0 ? {} : { enum: [...allowedValues] }),
        ...(pattern === undefined ? {} : { pattern }),
      };
  }
}

function patterns(own: string, further: string | undefined): Record<string, unknown> {
  return further === undefined ? { pattern: own } : { pattern: own, allOf: [{ pattern: further }] };
}

function valueOf({ type }: ParameterDefinition, text: string): unknown {
  if (type === 'int') return Number(text);
  return type === 'bool' ? text === 'true' : text;
}

/** `namespace_prefix` becomes `Namespace prefix`. */
function titleOf(name: string): string {
  const words = name.replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
