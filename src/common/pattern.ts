import { RE2JS } from 're2js';

const MAX_PATTERN_LENGTH = 1_000;
/** A match costs at most its text times its program: together with the length of a text, about 0.1 s. */
const MAX_PROGRAM = 1_000;
const MAX_TEXT_LENGTH = 10_000;

/** A regular expression that is not one here; the message says why, `hint` what to do. */
export class PatternError extends Error {
  override readonly name = 'PatternError';

  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/**
 * A regular expression in RE2's syntax, matched in time linear to the text: unlike `RegExp`, it can be given patterns and
 * texts of callers.
 */
export class Pattern {
  private readonly compiled: RE2JS;

  /** Throws PatternError. */
  constructor(readonly source: string) {
    if (source.length > MAX_PATTERN_LENGTH) {
      throw new PatternError(`the regular expression is longer than ${MAX_PATTERN_LENGTH} characters`);
    }
    try {
      this.compiled = RE2JS.compile(source);
    } catch (error) {
      throw explain(source, error as Error);
    }
    if (this.compiled.programSize() > MAX_PROGRAM) {
      const hint = 'Use smaller numbers in braces.';
      throw new PatternError('the regular expression is too large once its repetitions are written out', hint);
    }
  }

  /** Whether the pattern is found anywhere in the text. Throws PatternError where the text is too long to search. */
  test(text: string): boolean {
    if (text.length > MAX_TEXT_LENGTH) {
      const hint = 'Test a shorter value.';
      throw new PatternError(`a text of ${text.length} characters is too long for a regular expression`, hint);
    }
    return this.compiled.test(text);
  }
}

const UNSUPPORTED: readonly (readonly [RegExp, string])[] = [
  [/\(\?<?[=!]/, 'lookahead and lookbehind'],
  [/\\[1-9]|\\k</, 'references back to a group'],
  [/\(\?>|[*+?}]\+/, 'atomic groups and possessive repetition'],
];

function explain(source: string, error: Error): PatternError {
  const unsupported = UNSUPPORTED.find(([form]) => form.test(source));
  if (unsupported) {
    const message = `the regular expression uses ${unsupported[1]}, which is not supported`;
    return new PatternError(message, 'Patterns are matched in linear time, in the syntax of RE2 (as in Go).');
  }
  return new PatternError(`'${source.slice(0, 80)}' is no regular expression: ${reason(error.message)}`);
}

/** The engine's message in a form that reads on. */
function reason(message: string): string {
  return message.replace(/^error parsing regexp: /, '');
}
