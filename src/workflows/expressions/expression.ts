import type { Pattern } from '../../common/pattern.js';

/** What a condition asks about: `$X` is a variable; `${a.b}` and `build.success` are paths. */
export type ConditionReference =
  { readonly kind: 'variable'; readonly name: string } | { readonly kind: 'path'; readonly path: readonly string[] };

export type Value = string | number | boolean | null;

/** Where a condition's references get their values. `undefined`: there is no such thing, which is an error. */
export interface ConditionScope {
  variable(name: string): string | undefined;
  lookUp(path: readonly string[]): Value | undefined;
  /** A sentence on a path that has no value. */
  whyMissing?(path: readonly string[]): string;
}

/** What stands on one side of a comparison. `source` is how it was written. */
export type Operand =
  | { readonly kind: 'reference'; readonly reference: ConditionReference; readonly source: string }
  | { readonly kind: 'literal'; readonly value: Value; readonly quoted: boolean; readonly source: string };

export const WORD_OPERATORS = ['contains', 'startsWith', 'endsWith', 'matches'] as const;
export const SYMBOL_OPERATORS = ['==', '!=', '<=', '>=', '<', '>'] as const;
export type Operator = (typeof WORD_OPERATORS)[number] | (typeof SYMBOL_OPERATORS)[number];

export interface Comparison {
  readonly kind: 'comparison';
  readonly operator: Operator;
  readonly left: Operand;
  readonly right: Operand;
  /** Of `matches` with a pattern that is written out. */
  readonly pattern?: Pattern;
}

/** `and` and `or` hold all their parts, so that a long chain is no deep tree. */
export type Node =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Node[] }
  | { readonly kind: 'not'; readonly part: Node }
  | { readonly kind: 'truth'; readonly operand: Operand }
  | Comparison;

/** A condition of a step, parsed. */
export interface Expression {
  readonly text: string;
  /** Each one once, in the order of the text. */
  readonly references: readonly ConditionReference[];
  readonly root: Node;
}

/** A text that is no condition. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';

  constructor(
    message: string,
    /** Of the place in the text, from 0, in UTF-16 units. */
    readonly offset: number,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** A condition that cannot be answered; the message is a sentence for an operator. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}
