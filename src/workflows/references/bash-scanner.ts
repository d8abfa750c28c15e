import { BashWords } from './bash-words.js';
import { endOfHeredoc, type Heredoc, readHeredoc } from './bash-heredoc.js';

/** Where a reference stands: where bash expands it, or in which of the places where it does not. */
export type Quoting = 'expanded' | 'single quotes' | "$'…'" | 'heredoc';

export interface ScriptReference {
  /** Of the first dollar sign in the script. */
  readonly offset: number;
  readonly name: string;
  /** `$${a.b}`: the text is meant. */
  readonly escaped: boolean;
  /** `${a.b:-x}` and its like, which bash does not know. */
  readonly malformed: boolean;
  readonly quoting: Quoting;
  readonly inBackticks: boolean;
  /** Bash evaluates the value as arithmetic, which can run commands. */
  evaluated: boolean;
  /** How many lists of commands it stands in. */
  readonly level: number;
}

export class TooDeep extends Error {
  constructor(readonly offset: number) {
    super('the script nests too deeply');
  }
}

/** What `((` means is known at its end only: each level may be walked twice. */
const MAX_DEPTH = 30;
const MAX_SUBSCRIPT = 200;
const NAME = '([A-Za-z_][\\w-]*(?:\\.[\\w-]+)+)';
const REFERENCE = new RegExp(`(\\$?)\\$\\{${NAME}\\}`, 'y');
const ANYWHERE = new RegExp(`(\\$?)\\$\\{${NAME}\\}`, 'g');
const MALFORMED = /\$\{[!#]?([A-Za-z_]\w*(?:\.[\w-]+)+)[^\w.}-]/y;
const PARAMETER = /[!#]?(?:[A-Za-z_]\w*|\d+|[@*#?$!-])?/y;

/** The references of a script, each with what bash makes of the place it stands at. Throws TooDeep. */
export function scanScript(script: string): ScriptReference[] {
  const found: ScriptReference[] = [];
  new BashScanner(script, found, { offsets: (at) => at, inBackticks: false, depth: 0, level: 0 }).commands(undefined);
  return found.sort((a, b) => a.offset - b.offset);
}

interface Place {
  /** From places in this text to places in the script. */
  readonly offsets: (at: number) => number;
  readonly inBackticks: boolean;
  depth: number;
  level: number;
}

/**
 * Walks a script as bash reads it. Each method begins behind what opens its part and ends behind what closes it; where
 * nothing does, bash refuses the script, and the walk ends with the text.
 */
class BashScanner {
  private at = 0;
  private end: number;
  private pending: Heredoc[] = [];
  private inSubstitution = false;
  /** Places where `((` was tried and is none: each is tried once, or nested ones would double the work each time. */
  private readonly noArithmetic = new Set<number>();

  constructor(
    private readonly text: string,
    private readonly found: ScriptReference[],
    private readonly place: Place,
  ) {
    this.end = text.length;
  }

  /** A list of commands, up to `)` or to the end. */
  commands(close: ')' | undefined, isArray = false): void {
    this.enter();
    this.place.level++;
    const words = new BashWords(isArray);
    let wordBegin = this.found.length;
    let previous: readonly [number, number] = [wordBegin, wordBegin];
    const endWord = () => {
      if (words.atWordStart) return;
      const { evaluated, evaluatedBefore } = words.endWord();
      if (evaluatedBefore) this.evaluate(...previous);
      previous = [wordBegin, this.found.length];
      if (evaluated) this.evaluate(...previous);
      wordBegin = this.found.length;
    };
    while (this.at < this.end) {
      const char = this.text[this.at]!;
      if (char === ')') {
        endWord();
        this.at++;
        if (words.inPattern) words.endPattern();
        else if (close !== undefined) break;
        else words.beginCommand();
      } else if (char === '#' && words.atWordStart) {
        this.skipTo('\n');
      } else if (char === '\n') {
        endWord();
        words.beginCommand();
        this.at++;
        this.heredocs();
      } else if (char === ' ' || char === '\t') {
        endWord();
        this.at++;
      } else if (char === ';' || char === '&' || char === '|') {
        endWord();
        const clause = /;;&|;;|;&/y;
        clause.lastIndex = this.at;
        const ends = clause.exec(this.text)?.[0];
        if (ends !== undefined) words.endClause();
        this.at += ends?.length ?? 1;
        words.beginCommand();
      } else if (char === '<' || char === '>') {
        this.redirection(words, endWord);
      } else if (char === '(') {
        if (words.atPatternStart) this.at++;
        else this.bracket(words);
      } else {
        this.wordPart(char, words);
      }
    }
    endWord();
    this.place.level--;
    this.leave();
  }

  private wordPart(char: string, words: BashWords): void {
    if (char === '[' && words.mayHaveSubscript && this.tryArithmetic(this.at + 1, ']')) words.add('[]');
    else if (char === '\\') {
      // A backslash at the end of a line joins it with the next.
      if (this.text[this.at + 1] !== '\n') words.add('\\.');
      this.at += 2;
    } else if (!this.quotedOrExpanded(char, false, false)) {
      words.add(char);
      this.at++;
    } else words.add('\\.');
  }

  private redirection(words: BashWords, endWord: () => void): void {
    const heredoc = readHeredoc(this.text, this.at, this.end);
    if (heredoc !== undefined) {
      endWord();
      this.pending.push(heredoc);
      this.at = heredoc.end;
    } else if (this.text.startsWith('<<<', this.at)) {
      endWord();
      this.at += 3;
    } else if (this.text[this.at + 1] === '(') {
      this.at += 2;
      this.substitution();
      words.add('\\.');
    } else {
      endWord();
      this.at++;
    }
  }

  /** `(` among commands: arithmetic, an array, or a list of its own. */
  private bracket(words: BashWords): void {
    const isArray = words.isAssignment;
    if (words.atWordStart && this.text[this.at + 1] === '(' && this.tryArithmetic(this.at + 2, '))')) {
      words.add('\\.');
      return;
    }
    this.at++;
    this.commands(')', isArray);
    words.add('\\.');
  }

  /** `$( … )`: heredocs that wait outside have their text behind it. */
  private substitution(): void {
    const { pending, inSubstitution } = this;
    this.pending = [];
    this.inSubstitution = true;
    this.commands(')');
    this.pending = [...pending, ...this.pending];
    this.inSubstitution = inSubstitution;
  }

  /** All that begins with a quote, a dollar sign or a backtick; false where nothing of these is here. */
  private quotedOrExpanded(char: string, isQuoted: boolean, isEvaluated: boolean): boolean {
    if (char === '$') this.dollar(isQuoted, isEvaluated);
    else if (char === '`') this.backticks(isQuoted);
    else if (char === '"') {
      this.at++;
      this.doubleQuotes(isEvaluated);
    } else if (char === "'" && !isQuoted) {
      const begin = ++this.at;
      this.skipTo("'");
      this.literal(begin, this.at++, 'single quotes');
    } else return false;
    return true;
  }

  private doubleQuotes(isEvaluated: boolean): void {
    this.enter();
    while (this.at < this.end) {
      const char = this.text[this.at]!;
      if (char === '"') {
        this.at++;
        break;
      }
      this.expandingChar(char, isEvaluated);
    }
    this.leave();
  }

  /** One character where dollar signs and backticks are all that is special. */
  private expandingChar(char: string, isEvaluated: boolean): void {
    if (char === '\\') this.at += 2;
    else if (char === '$') this.dollar(true, isEvaluated);
    else if (char === '`') this.backticks(true);
    else this.at++;
  }

  private dollar(isQuoted: boolean, isEvaluated: boolean): void {
    const reference = this.match(REFERENCE);
    if (reference) {
      this.add(this.at, reference, 'expanded', isEvaluated);
      this.at += reference[0].length;
      return;
    }
    const malformed = this.match(MALFORMED);
    if (malformed) this.add(this.at, malformed, 'expanded', false, true);
    const next = this.text[this.at + 1];
    if (next === '{') {
      this.at += 2;
      this.braces(isQuoted, isEvaluated);
    } else if (next === '(') {
      if (this.text[this.at + 2] === '(' && this.tryArithmetic(this.at + 3, '))')) return;
      this.at += 2;
      this.substitution();
    } else if (next === '[') {
      this.at += 2;
      this.arithmetic(']');
    } else if (next === "'" && !isQuoted) {
      const begin = this.at + 2;
      for (this.at = begin; this.at < this.end && this.text[this.at] !== "'"; this.at++) {
        if (this.text[this.at] === '\\') this.at++;
      }
      this.literal(begin, this.at++, "$'…'");
    } else if (next === '"' && !isQuoted) {
      this.at += 2;
      this.doubleQuotes(isEvaluated);
    } else this.at += next === '$' ? 2 : 1;
  }

  /** `${…}`: a subscript and a range are arithmetic; single quotes count in patterns, and else where no quotes are around. */
  private braces(isQuoted: boolean, isEvaluated: boolean): void {
    this.enter();
    this.at += this.match(PARAMETER)?.[0].length ?? 0;
    if (this.text[this.at] === '[') {
      this.at++;
      this.arithmetic(']');
    }
    const operator = this.text.slice(this.at, this.at + 2);
    if (operator[0] === ':' && !/[-=?+]/.test(operator[1] ?? '')) this.arithmetic('}');
    else this.replacement(isQuoted && !/[#%/^,@~]/.test(operator[0] ?? ''), isEvaluated);
    this.leave();
  }

  /** In double quotes, single ones hold a `}` but are part of the text. */
  private replacement(isQuoted: boolean, isEvaluated: boolean): void {
    let inSingle = false;
    while (this.at < this.end) {
      const char = this.text[this.at]!;
      if (char === '}' && !inSingle) {
        this.at++;
        return;
      }
      if (isQuoted && char === "'") inSingle = !inSingle;
      if (char === '\\') this.at += 2;
      else if (!this.quotedOrExpanded(char, isQuoted, isEvaluated)) this.at++;
    }
  }

  /** As arithmetic, if it is closed as such; false, with nothing changed, if not. */
  private tryArithmetic(begin: number, close: '))' | ']'): boolean {
    if (this.noArithmetic.has(begin)) return false;
    const { at, end, pending } = this;
    const { length } = this.found;
    this.at = begin;
    this.pending = [];
    if (close === ']') this.end = Math.min(end, begin + MAX_SUBSCRIPT);
    const closed = this.arithmetic(close) && (close !== ']' || /\+?=/y.test(this.text.slice(this.at, this.at + 2)));
    this.pending = pending;
    this.end = end;
    if (closed) return true;
    this.noArithmetic.add(begin);
    this.found.length = length;
    this.at = at;
    return false;
  }

  private arithmetic(close: '))' | ']' | '}'): boolean {
    this.enter();
    let open = 0;
    let closed = false;
    while (this.at < this.end && !closed) {
      const char = this.text[this.at]!;
      if (char === ')' && open === 0 && close === '))') {
        closed = this.text[this.at + 1] === ')';
        if (!closed) break;
        this.at += 2;
      } else if (char === close && open === 0) {
        closed = true;
        this.at++;
      } else if (char === '"') this.at++;
      else {
        if (char === '(' || char === '[') open++;
        if ((char === ')' || char === ']') && open > 0) open--;
        this.expandingChar(char, true);
      }
    }
    this.leave();
    return closed;
  }

  /** Bash takes backslashes off what is between backticks, and reads the rest as a script. */
  private backticks(isQuoted: boolean): void {
    const inner: string[] = [];
    const offsets: number[] = [];
    const escapes = isQuoted ? /[$`\\"]/ : /[$`\\]/;
    let i = this.at + 1;
    for (; i < this.end && this.text[i] !== '`'; i++) {
      if (this.text[i] === '\\' && escapes.test(this.text[i + 1] ?? '')) i++;
      offsets.push(this.place.offsets(i));
      inner.push(this.text[i] ?? '');
    }
    offsets.push(this.place.offsets(i));
    this.at = i + 1;
    const place = { ...this.place, offsets: (at: number) => offsets[at]!, inBackticks: true };
    this.enter();
    new BashScanner(inner.join(''), this.found, { ...place, depth: this.place.depth }).commands(undefined);
    this.leave();
  }

  /** The texts of the heredocs that the line before has begun. */
  private heredocs(): void {
    const { end, pending } = this;
    this.pending = [];
    for (const heredoc of pending) {
      const text = endOfHeredoc(this.text, this.at, end, heredoc, this.inSubstitution);
      if (heredoc.isQuoted) this.literal(this.at, text.end, 'heredoc');
      else {
        this.end = text.end;
        while (this.at < this.end) this.expandingChar(this.text[this.at]!, false);
        this.end = end;
      }
      this.at = text.next;
    }
  }

  private literal(begin: number, end: number, quoting: Quoting): void {
    for (const match of this.text.slice(begin, end).matchAll(ANYWHERE)) {
      this.add(begin + match.index, match, quoting, false);
    }
  }

  private add(at: number, match: RegExpMatchArray, quoting: Quoting, evaluated: boolean, malformed = false): void {
    const { inBackticks, level, offsets } = this.place;
    const [name, escaped] = malformed ? [match[1]!, false] : [match[2]!, match[1] === '$'];
    this.found.push({ offset: offsets(at), name, escaped, malformed, quoting, inBackticks, evaluated, level });
  }

  /** Of the references found in a word, those that are not inside a list of commands of their own. */
  private evaluate(from: number, to: number): void {
    for (const reference of this.found.slice(from, to)) {
      if (reference.level === this.place.level) reference.evaluated = true;
    }
  }

  private skipTo(char: string): void {
    const next = this.text.indexOf(char, this.at);
    this.at = next < 0 || next > this.end ? this.end : next;
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  private enter(): void {
    if (++this.place.depth > MAX_DEPTH) throw new TooDeep(this.place.offsets(Math.min(this.at, this.end)));
  }

  private leave(): void {
    this.place.depth--;
  }
}
