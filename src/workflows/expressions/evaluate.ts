import { Pattern, PatternError } from '../../common/pattern.js';
import {
  type Comparison,
  type ConditionReference,
  type ConditionScope,
  EvaluationError,
  type Expression,
  type Node,
  type Operand,
  type Value,
} from './expression.js';
import { areEqual, compareNumbers, isTrue, readsAsNumber, shown } from './values.js';

/** Whether the condition holds. Throws EvaluationError. */
export function evaluate(expression: Expression, scope: ConditionScope): boolean {
  return holds(expression.root, (operand) => valueOf(operand, scope));
}

/**
 * The condition, its answer and the values that led to it: `$ENVIRONMENT == production is false ($ENVIRONMENT is
 * 'staging')`. Throws EvaluationError.
 */
export function explain(expression: Expression, scope: ConditionScope): string {
  const seen = new Map<string, string>();
  const answer = holds(expression.root, (operand) => {
    const value = valueOf(operand, scope);
    if (operand.kind === 'reference') seen.set(operand.source, `${operand.source} is ${shown(value)}`);
    return value;
  });
  const values = seen.size === 0 ? '' : ` (${[...seen.values()].join(', ')})`;
  return `${expression.text.trim()} is ${answer}${values}`;
}

type Look = (operand: Operand) => Value;

function holds(node: Node, look: Look): boolean {
  switch (node.kind) {
    case 'and':
      return node.parts.every((part) => holds(part, look));
    case 'or':
      return node.parts.some((part) => holds(part, look));
    case 'not':
      return !holds(node.part, look);
    case 'truth':
      return isTrue(look(node.operand));
    case 'comparison':
      return compare(node, look);
  }
}

function compare(comparison: Comparison, look: Look): boolean {
  const { operator, left, right } = comparison;
  const [a, b] = [look(left), look(right)];
  switch (operator) {
    case '==':
      return areEqual(a, b, isQuoted(left) || isQuoted(right));
    case '!=':
      return !areEqual(a, b, isQuoted(left) || isQuoted(right));
    case '<':
      return order(comparison, a, b) < 0;
    case '<=':
      return order(comparison, a, b) <= 0;
    case '>':
      return order(comparison, a, b) > 0;
    case '>=':
      return order(comparison, a, b) >= 0;
    case 'contains':
      return a !== null && b !== null && String(a).includes(String(b));
    case 'startsWith':
      return a !== null && b !== null && String(a).startsWith(String(b));
    case 'endsWith':
      return a !== null && b !== null && String(a).endsWith(String(b));
    case 'matches':
      return a !== null && matches(comparison, String(a), b);
  }
}

function isQuoted(operand: Operand): boolean {
  return operand.kind === 'literal' && operand.quoted;
}

function order({ operator, left, right }: Comparison, a: Value, b: Value): number {
  for (const [operand, value] of [[left, a] as const, [right, b] as const]) {
    if (readsAsNumber(value)) continue;
    throw new EvaluationError(`'${operator}' compares numbers, but ${operand.source} is ${shown(value)}`);
  }
  return compareNumbers(a, b);
}

function matches({ left, right, pattern }: Comparison, text: string, source: Value): boolean {
  if (source === null) throw new EvaluationError(`${right.source} is null, and so no regular expression`);
  try {
    return (pattern ?? new Pattern(String(source))).test(text);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new EvaluationError(`${left.source} cannot be matched with ${right.source}: ${error.message}`);
  }
}

function valueOf(operand: Operand, scope: ConditionScope): Value {
  if (operand.kind === 'literal') return operand.value;
  const { reference } = operand;
  const value = reference.kind === 'variable' ? scope.variable(reference.name) : scope.lookUp(reference.path);
  if (value !== undefined) return value;
  throw new EvaluationError(`${operand.source} has no value: ${whyMissing(reference, scope)}`);
}

function whyMissing(reference: ConditionReference, scope: ConditionScope): string {
  if (reference.kind === 'variable') {
    return `neither the step's env nor the workflow's variables have '${reference.name}'`;
  }
  return scope.whyMissing?.(reference.path) ?? `nothing here is called '${reference.path.join('.')}'`;
}
