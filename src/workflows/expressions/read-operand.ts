import { isScopeName, STEP_RESULTS } from '../references/scopes.js';
import { type ConditionReference, ExpressionError, type Operand, type Operator, type Value } from './expression.js';
import { readsAsNumber } from './values.js';

const VARIABLE = /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/y;
const BRACED_PATH = /\$\{([A-Za-z_][\w-]*(?:\.[\w-]+)+)\}/y;
const PATH = /^[A-Za-z0-9_][\w-]*(?:\.[\w-]+)+$/;
const LEFT_WORD = /[\w.+-]+/y;
const KEYWORDS: Readonly<Record<string, Value>> = { true: true, false: false, null: null };

/** An operand and where the text goes on behind it. */
export interface Read {
  readonly operand: Operand;
  readonly end: number;
}

/** Reads what may stand before an operator, or alone; undefined where no operand begins. */
export function readLeft(text: string, at: number): Read | undefined {
  if (text[at] === '$') return readReference(text, at);
  if (isQuote(text[at])) return readQuoted(text, at);
  const word = matchAt(LEFT_WORD, text, at)?.[0];
  if (word === undefined) return undefined;
  const end = at + word.length;
  if (Object.hasOwn(KEYWORDS, word) || readsAsNumber(word)) return literal(word, end);
  if (PATH.test(word)) return reference({ kind: 'path', path: word.split('.') }, word, end);
  const hint = /^[A-Za-z_]\w*$/.test(word)
    ? `Write $${word} for the variable, ${word}.success for a step, '${word}' for the text.`
    : `Put it into quotes: '${word}'.`;
  throw new ExpressionError(`'${word}' is neither a variable nor a name with a dot`, at, hint);
}

/** Reads what may stand behind an operator, bare words among it. `steps` are names that a bare word must not look like. */
export function readRight(text: string, at: number, operator: Operator, steps: readonly string[]): Read | undefined {
  const isPattern = operator === 'matches';
  if (isQuote(text[at])) return readQuoted(text, at);
  if (text[at] === '$' && /[\w{(]/.test(text[at + 1] ?? '')) return readReference(text, at);
  const end = endOfWord(text, at, isPattern);
  const word = text.slice(at, end);
  if (word === '' || word === 'and' || word === 'or') return undefined;
  if (isPattern) checkPlain(word, at);
  else checkWord(word, at, steps);
  return isPattern
    ? { operand: { kind: 'literal', value: word, quoted: false, source: word }, end }
    : literal(word, end);
}

function literal(word: string, end: number): Read {
  const value = Object.hasOwn(KEYWORDS, word) ? KEYWORDS[word]! : word;
  return { operand: { kind: 'literal', value, quoted: false, source: word }, end };
}

function reference(reference: ConditionReference, source: string, end: number): Read {
  return { operand: { kind: 'reference', reference, source }, end };
}

function readReference(text: string, at: number): Read {
  const path = matchAt(BRACED_PATH, text, at);
  if (path) return ended(text, reference({ kind: 'path', path: path[1]!.split('.') }, path[0], at + path[0].length));
  const variable = matchAt(VARIABLE, text, at);
  if (variable) {
    const name = (variable[1] ?? variable[2])!;
    return ended(text, reference({ kind: 'variable', name }, variable[0], at + variable[0].length));
  }
  const hint = 'Write $NAME or ${NAME} for a variable, ${step.output} for anything else.';
  throw new ExpressionError(`'${text.slice(at, at + 20)}' is no reference`, at, hint);
}

/** A reference is an operand of its own, not a part of a word. */
function ended(text: string, read: Read): Read {
  if (!/[\w.$'"{[/:-]/.test(text[read.end] ?? '')) return read;
  const hint = 'Compare the value with one text or one reference; a step can put texts together in its setVariables.';
  throw new ExpressionError(`${read.operand.source} must stand alone, but text follows`, read.end, hint);
}

/** Quotes of either kind; what is between them stands for itself, and a quote in it is written twice. */
function readQuoted(text: string, at: number): Read {
  const quote = text[at]!;
  let value = '';
  let from = at + 1;
  for (;;) {
    const close = text.indexOf(quote, from);
    if (close < 0) throw new ExpressionError(`the text that begins with ${quote} has no end`, at, `Add ${quote}.`);
    value += text.slice(from, close);
    from = close + 1;
    if (text[from] !== quote) break;
    value += quote;
    from += 1;
  }
  checkPlain(value, at);
  const next = text[from] ?? ' ';
  if (!/[\s)=!<>&|]/.test(next)) {
    const hint = `A quote inside a text is written twice (${quote}${quote}), or the text stands in the other quotes.`;
    throw new ExpressionError(`something follows the closing ${quote}`, from, hint);
  }
  return { operand: { kind: 'literal', value, quoted: true, source: text.slice(at, from) }, end: from };
}

/** Up to a space, `&&`, `||`, or a bracket that was not opened in the word; a pattern's brackets are its own. */
function endOfWord(text: string, at: number, isPattern: boolean): number {
  if (!isPattern && text[at] === '(') return at;
  let open = 0;
  let inClass = false;
  let i = at;
  for (; i < text.length; i++) {
    const char = text[i]!;
    if (/\s/.test(char) || ((char === '&' || char === '|') && text[i + 1] === char && open === 0 && !inClass)) break;
    if (isPattern && char === '\\') i++;
    else if (isPattern && inClass) inClass = char !== ']';
    else if (isPattern && char === '[') inClass = true;
    else if (char === '(') open++;
    else if (char === ')' && --open < 0) break;
  }
  return Math.min(i, text.length);
}

function checkWord(word: string, at: number, steps: readonly string[]): void {
  checkPlain(word, at);
  const odd = /['"=<>!&|]/.exec(word);
  if (odd) {
    const hint = `Put the whole text into quotes: ${quoted(word)}.`;
    throw new ExpressionError(`${odd[0]} cannot stand in a text without quotes`, at + odd.index, hint);
  }
  if (!PATH.test(word) || readsAsNumber(word)) return;
  const segments = word.split('.');
  const isStatus = segments.length === 2 && (STEP_RESULTS as readonly string[]).includes(segments[1]!);
  const isStep = steps.some((step) => word.startsWith(`${step}.`));
  if (!isScopeName(word) && !isStatus && !isStep) return;
  const hint = `Write \${${word}} for its value, or '${word}' for the text.`;
  throw new ExpressionError(`'${word}' may be meant as a reference or as a text`, at, hint);
}

/** A reference inside a text would be compared as it is written. */
function checkPlain(text: string, at: number): void {
  const found = /\$\{?[A-Za-z_][\w.-]*\}?/.exec(text)?.[0];
  if (found === undefined) return;
  const hint = `Write ${found} alone and without quotes.`;
  throw new ExpressionError(`${found} is not filled in inside a text`, at, hint);
}

function quoted(word: string): string {
  return word.includes("'") ? `"${word.replaceAll('"', '""')}"` : `'${word}'`;
}

function isQuote(char: string | undefined): boolean {
  return char === "'" || char === '"';
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
