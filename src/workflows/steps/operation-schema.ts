import type { StepSchema } from '../step-runner.js';
import { NETWORK_FIELD } from './network-field.js';

export interface Operation {
  /** The fields it uses; others are a mistake. */
  readonly fields: readonly string[];
  readonly required?: readonly string[];
  /** Further rules for its fields, e.g. `oneOf`. */
  readonly rules?: Readonly<Record<string, unknown>>;
}

/**
 * The schema of a type whose steps do one of several operations with a program, the first one unless they name another.
 */
export function operationSchema(
  fields: Readonly<Record<string, object>>,
  operations: Readonly<Record<string, Operation>>,
  options: { readonly named?: boolean } = {},
): StepSchema {
  const names = Object.keys(operations);
  const [first = ''] = names;
  const operation = {
    type: 'string',
    enum: names,
    description: options.named ? 'What to do.' : `What to do; \`${first}\` unless given.`,
    examples: [first],
  };
  return {
    type: 'object',
    additionalProperties: false,
    ...(options.named ? { required: ['operation'] } : {}),
    properties: { operation, ...fields, network: NETWORK_FIELD },
    allOf: Object.entries(operations).map(([name, { fields: used, required = [], rules = {} }]) => ({
      if: {
        properties: { operation: { const: name } },
        ...(name === first && !options.named ? {} : { required: ['operation'] }),
      },
      then: {
        required,
        properties: Object.fromEntries(
          Object.keys(fields)
            .filter((field) => !used.includes(field))
            .map((field) => [field, false]),
        ),
        ...rules,
      },
    })),
  };
}
