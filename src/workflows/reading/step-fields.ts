import { didYouMean } from '../../common/did-you-mean.js';
import { shorten } from '../../common/yaml/document-path.js';
import { isScopeName } from '../references/scopes.js';
import { STEP_CONDITIONS, type StepDefinition } from '../workflow.js';
import { type Fields, VARIABLE_NAMES } from './fields.js';
import { readOrder } from './order-fields.js';
import { readOutputs } from './output-fields.js';
import { readRetry } from './retry-field.js';

/** The longest delay a timer of Node takes: beyond it, it fires at once. */
const MAX_TIMEOUT_DAYS = 24;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** All that a step says beside its type's own fields. Empty texts stand for a name or type that is absent or wrong. */
export function readCommonFields(fields: Fields, stepTypes: readonly string[]): Omit<StepDefinition, 'config'> {
  const name = readName(fields) ?? '';
  const type = readType(fields, stepTypes) ?? '';
  const when = fields.oneOf('when', STEP_CONDITIONS);
  const condition = readExpression(fields, 'if');
  const unless = readExpression(fields, 'unless');
  const timeoutSeconds = fields.seconds('timeout', { maxDays: MAX_TIMEOUT_DAYS });
  const retry = readRetry(fields);
  const continueOnError = fields.boolean('continue_on_error');
  return {
    name,
    type,
    env: fields.texts('env', VARIABLE_NAMES) ?? {},
    ...(when === undefined ? {} : { when }),
    ...(condition === undefined ? {} : { if: condition }),
    ...(unless === undefined ? {} : { unless }),
    ...readOrder(fields),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(retry === undefined ? {} : { retry }),
    ...(continueOnError === undefined ? {} : { continueOnError }),
    ...readOutputs(fields),
  };
}

/** Up to 63 characters, fit for file names and environment variables' values. */
function readName(fields: Fields): string | undefined {
  const name = required(fields, 'name', 'Give each step a name of its own, e.g. "name: build".');
  if (name === undefined) return undefined;
  if (isScopeName(name)) {
    const hint = `\${${name}.…} is something else already: choose another name.`;
    return fields.wrong(['name'], `A step cannot have the name '${name}'`, hint);
  }
  if (NAME.test(name)) return name;
  const hint = "Allowed: up to 63 letters, digits, '.', '_' and '-', with a letter or digit first.";
  return fields.wrong(['name'], `'${shorten(name, 80)}' is not a valid name of a step`, hint);
}

function readType(fields: Fields, known: readonly string[]): string | undefined {
  const type = required(fields, 'type', `Add "type:" with one of ${known.join(', ')}.`);
  if (type === undefined || known.includes(type)) return type;
  const meant = didYouMean(type, known);
  const hint = meant === undefined ? `Known types: ${known.join(', ')}.` : `Did you mean '${meant}'?`;
  const question = meant === undefined ? '' : `: did you mean '${meant}'?`;
  return fields.wrong(['type'], `unknown step type '${shorten(type, 80)}'${question}`, hint);
}

/** A condition that is no more than the word true or false needs no quotes. */
function readExpression(fields: Fields, key: 'if' | 'unless'): string | undefined {
  const value = fields.raw[key];
  return typeof value === 'boolean' ? String(value) : fields.text(key);
}

function required(fields: Fields, key: 'name' | 'type', hint: string): string | undefined {
  return fields.has(key) ? fields.text(key) : fields.wrong([key], `'${key}' is missing in a step`, hint);
}
