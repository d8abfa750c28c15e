/** Words behind which a command begins. */
const COMMAND_FOLLOWS = new Set([
  ...['then', 'do', 'else', 'elif', 'if', 'while', 'until', '!', 'time', 'coproc'],
  '{',
]);
const ASSIGNMENT = /^[A-Za-z_]\w*(?:\[.*\])?\+?=/s;
const NAME = /^[A-Za-z_]\w*$/;
const ARITHMETIC_TESTS = new Set(['-eq', '-ne', '-lt', '-le', '-gt', '-ge']);

/**
 * The words of one list of commands, as far as they decide how a bracket is read: where a command begins, which part of a
 * `case` this is, and which words bash evaluates as arithmetic.
 */
export class BashWords {
  private word = '';
  private commandBegins: boolean;
  private readonly cases: ('subject' | 'pattern' | 'body')[] = [];
  private wordsInCase = 0;
  private command: 'plain' | 'test' | 'let' = 'plain';
  /** Of a `[[ … ]]`: whether the word before the present one was an operator of arithmetic. */
  private operandFollows = false;

  /** In a list of an array's items no word is a command. */
  constructor(private readonly isArray: boolean) {
    this.commandBegins = !isArray;
  }

  /** A part of the present word; of what is quoted or expanded any stand-in that is in no keyword. */
  add(part: string): void {
    this.word += part;
  }

  get atWordStart(): boolean {
    return this.word === '';
  }

  /** Whether `=` came directly before: what follows in brackets is an array. */
  get isAssignment(): boolean {
    return this.word.endsWith('=');
  }

  /** Whether `[` here begins the subscript of a variable that is assigned. */
  get mayHaveSubscript(): boolean {
    return this.commandBegins && this.word.length <= 100 && NAME.test(this.word);
  }

  get inPattern(): boolean {
    return this.cases.at(-1) === 'pattern';
  }

  get atPatternStart(): boolean {
    return this.inPattern && this.wordsInCase === 0 && this.atWordStart;
  }

  /** Ends the present word; tells which words bash evaluates: this one, the one before it. */
  endWord(): { evaluated: boolean; evaluatedBefore: boolean } {
    const { word } = this;
    this.word = '';
    if (word === '') return { evaluated: false, evaluatedBefore: false };
    const evaluated = this.command === 'let' || this.operandFollows;
    this.operandFollows = this.command === 'test' && ARITHMETIC_TESTS.has(word);
    this.read(word);
    return { evaluated, evaluatedBefore: this.operandFollows };
  }

  /** After a separator of commands. */
  beginCommand(): void {
    if (this.isArray || this.command === 'test') return;
    this.command = 'plain';
    if (!this.inPattern) this.commandBegins = true;
  }

  /** `;;` and its like. */
  endClause(): void {
    if (this.cases.at(-1) === 'body') this.enter('pattern');
  }

  /** `)` behind a pattern. */
  endPattern(): void {
    this.enter('body');
    this.commandBegins = true;
  }

  private read(word: string): void {
    const part = this.cases.at(-1);
    this.wordsInCase++;
    if (this.command === 'test') {
      if (word === ']]') this.command = 'plain';
    } else if (part === 'subject') {
      if (word === 'in' && this.wordsInCase > 1) this.enter('pattern');
    } else if (part === 'pattern') {
      if (word === 'esac' && this.wordsInCase === 1) this.leave();
    } else if (word === '{') {
      this.commandBegins = true;
    } else if (this.commandBegins) {
      this.beginWith(word);
    }
  }

  private beginWith(word: string): void {
    this.commandBegins = COMMAND_FOLLOWS.has(word) || ASSIGNMENT.test(word);
    if (word === 'case') {
      this.cases.push('subject');
      this.wordsInCase = 0;
    } else if (word === 'esac' && this.cases.at(-1) === 'body') this.leave();
    else if (word === '[[') this.command = 'test';
    else if (word === 'let') this.command = 'let';
  }

  private enter(part: 'pattern' | 'body'): void {
    this.cases[this.cases.length - 1] = part;
    this.wordsInCase = 0;
  }

  private leave(): void {
    this.cases.pop();
    this.commandBegins = false;
  }
}
