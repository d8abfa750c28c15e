import { didYouMean } from '../../common/did-you-mean.js';
import { Pattern, PatternError } from '../../common/pattern.js';
import {
  type ConditionReference,
  type Expression,
  ExpressionError,
  type Node,
  type Operand,
  type Operator,
  SYMBOL_OPERATORS,
  WORD_OPERATORS,
} from './expression.js';
import { type Read, readLeft, readRight } from './read-operand.js';
import { readsAsNumber } from './values.js';

const MAX_LENGTH = 4_000;
const MAX_DEPTH = 50;
const ORDERING: readonly Operator[] = ['<', '<=', '>', '>='];
const WORDS = ['and', 'or', ...WORD_OPERATORS];
/** Operators of other languages, and what they are here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...{
    '=': '==',
    '===': '==',
    '!==': '!=',
    '<>': '!=',
    '=~': 'matches',
    '&': 'and',
    '|': 'or',
    '=>': '>=',
    '=<': '<=',
  },
  ...{ '-eq': '==', '-ne': '!=', '-lt': '<', '-le': '<=', '-gt': '>', '-ge': '>=', is: '==', equals: '==' },
};

/**
 * Reads a condition of a step. Throws ExpressionError at the first fault. `steps` are the names of the workflow's steps,
 * where they are known: a text without quotes must not look like a reference to one of them.
 */
export function parseExpression(text: string, steps: readonly string[] = []): Expression {
  if (text.length > MAX_LENGTH) {
    const hint = 'Let a step work it out, and test its output.';
    throw new ExpressionError(`the condition is longer than ${MAX_LENGTH} characters`, MAX_LENGTH, hint);
  }
  const parser = new Parser(text, steps);
  return { text, root: parser.whole(), references: parser.references() };
}

class Parser {
  private at = 0;
  private depth = 0;
  private readonly found = new Map<string, ConditionReference>();

  constructor(
    private readonly text: string,
    private readonly steps: readonly string[],
  ) {}

  references(): ConditionReference[] {
    return [...this.found.values()];
  }

  whole(): Node {
    this.skipSpace();
    if (this.at === this.text.length) {
      throw new ExpressionError('the condition is empty', 0, 'Write a condition, e.g. $ENVIRONMENT == production.');
    }
    const root = this.chain('or');
    if (this.at < this.text.length) this.unexpected();
    return root;
  }

  /** `or` binds weaker than `and`. */
  private chain(kind: 'or' | 'and'): Node {
    const parts: Node[] = [];
    do parts.push(kind === 'or' ? this.chain('and') : this.negation());
    while (this.takes(kind === 'or' ? /or\b(?![.-])|\|\|/y : /and\b(?![.-])|&&/y));
    return parts.length === 1 ? parts[0]! : { kind, parts };
  }

  /** `not` and `!` negate the whole comparison behind them. */
  private negation(): Node {
    let negated = false;
    while (this.takes(/not\b(?![.-])|!(?!=)/y)) negated = !negated;
    const part = this.primary();
    return negated ? { kind: 'not', part } : part;
  }

  private primary(): Node {
    const begin = this.at;
    if (!this.takes(/\(/y)) return this.comparison();
    if (++this.depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} brackets are open`, begin);
    const inner = this.chain('or');
    if (!this.takes(/\)/y)) {
      if (this.at < this.text.length) this.unexpected();
      this.fail("'(' is never closed", begin, "Add ')'.");
    }
    this.depth--;
    return inner;
  }

  private comparison(): Node {
    const begin = this.at;
    const left = this.take(readLeft(this.text, this.at));
    if (left === undefined) return this.fail(`${this.here()} is not where a condition can begin`, begin, FORM);
    const operator = this.operator();
    if (operator === undefined) return { kind: 'truth', operand: left };
    const place = this.at;
    const right = this.take(readRight(this.text, this.at, operator, this.steps));
    if (right === undefined) {
      const hint = `Write what to compare with; a text that is empty or has spaces or brackets stands in quotes.`;
      return this.fail(`'${operator}' has nothing to compare with`, place, hint);
    }
    this.check(operator, left, right, begin, place);
    const compiled = operator === 'matches' && right.kind === 'literal' ? this.pattern(right, place) : undefined;
    return { kind: 'comparison', operator, left, right, ...(compiled ? { pattern: compiled } : {}) };
  }

  /** What can never be meant. */
  private check(operator: Operator, left: Operand, right: Operand, begin: number, place: number): void {
    if (left.kind === 'literal' && right.kind === 'literal') {
      this.fail(`${left.source} and ${right.source} are two fixed texts`, begin, 'A variable begins with $.');
    }
    for (const [operand, other, offset] of [
      [left, right, begin],
      [right, left, place],
    ] as const) {
      if (operand.kind !== 'literal') continue;
      if (ORDERING.includes(operator) && !readsAsNumber(operand.value)) {
        this.fail(`'${operator}' compares numbers, and ${operand.source} is none`, offset, 'Texts have == and !=.');
      }
      if (operand.value === null && other.kind === 'reference' && other.reference.kind === 'variable') {
        this.fail('a variable is never null', offset, `To test for an empty one, write ${other.source} == ''.`);
      }
    }
  }

  private pattern(operand: Operand & { kind: 'literal' }, place: number): Pattern {
    try {
      return new Pattern(String(operand.value));
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      const spaces = 'A pattern with spaces or quotes in it stands in quotes.';
      throw new ExpressionError(error.message, place, error.hint ?? (operand.quoted ? undefined : spaces));
    }
  }

  private operator(): Operator | undefined {
    const begin = this.at;
    const symbols = this.match(/[=!<>&|~]+/y);
    if (symbols === '&&' || symbols === '||') return undefined;
    // `$A ==!$B` has two operators; the longest known beginning is the first of them.
    const known = SYMBOL_OPERATORS.find((symbol) => symbols === symbol);
    if (known !== undefined) return this.skip(known);
    if (symbols !== undefined) return this.unknownOperator(symbols, begin);
    const word = this.match(/-?[A-Za-z]+/y);
    if (word === undefined || word === 'and' || word === 'or') return undefined;
    const found = WORD_OPERATORS.find((name) => name === word);
    return found === undefined ? this.unknownOperator(word, begin) : this.skip(found);
  }

  private unknownOperator(word: string, begin: number): never {
    const meant = Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : didYouMean(word, WORDS);
    const all = `Known: ${[...SYMBOL_OPERATORS, ...WORD_OPERATORS].join(', ')}, and, or, not.`;
    return this.fail(`'${word}' is no operator`, begin, meant ? `Did you mean '${meant}'?` : all);
  }

  private take(read: Read | undefined): Operand | undefined {
    if (read === undefined) return undefined;
    this.at = read.end;
    this.skipSpace();
    const { operand } = read;
    if (operand.kind === 'reference') {
      const { reference } = operand;
      const key = reference.kind === 'variable' ? `$${reference.name}` : reference.path.join('.');
      if (!this.found.has(key)) this.found.set(key, reference);
    }
    return operand;
  }

  private unexpected(): never {
    if (this.text[this.at] === ')') this.fail("')' does not belong here", this.at, "There is no '(' for it.");
    const meant = didYouMean(this.match(/[A-Za-z]+/y) ?? '', ['and', 'or']);
    const hint = "A text with spaces stands in quotes, and conditions are joined by 'and' or 'or'.";
    this.fail(`${this.here()} does not belong here`, this.at, meant ? `Did you mean '${meant}'?` : hint);
  }

  private here(): string {
    const word = /^\S{1,20}/.exec(this.text.slice(this.at, this.at + 20))?.[0];
    return word === undefined ? 'the end of the condition' : `'${word}'`;
  }

  private fail(message: string, offset: number, hint?: string): never {
    throw new ExpressionError(message, offset, hint);
  }

  private takes(pattern: RegExp): boolean {
    const found = this.match(pattern);
    if (found === undefined) return false;
    this.skip(found);
    return true;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private skip<T extends string>(word: T): T {
    this.at += word.length;
    this.skipSpace();
    return word;
  }

  private skipSpace(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }
}

const FORM =
  'A condition is one reference, or two sides with an operator: $ENVIRONMENT == production and build.success.';
