/** `<<EOF` and its like. */
export interface Heredoc {
  readonly delimiter: string;
  /** A quoted delimiter: bash takes the text as it is. */
  readonly isQuoted: boolean;
  /** `<<-`: tabs before a line do not count. */
  readonly stripsTabs: boolean;
  /** Behind the delimiter. */
  readonly end: number;
}

/** The heredoc that begins at `at`; undefined where none does. */
export function readHeredoc(text: string, at: number, end: number): Heredoc | undefined {
  if (!text.startsWith('<<', at) || text[at + 2] === '<') return undefined;
  const stripsTabs = text[at + 2] === '-';
  let i = at + (stripsTabs ? 3 : 2);
  while (text[i] === ' ' || text[i] === '\t') i++;
  const begin = i;
  let delimiter = '';
  let isQuoted = false;
  for (; i < end && !/[\s;&|<>()]/.test(text[i]!); i++) {
    const char = text[i]!;
    if (char === '\\') {
      isQuoted = true;
      delimiter += text[++i] ?? '';
    } else if (char === "'" || char === '"') {
      isQuoted = true;
      const close = text.indexOf(char, i + 1);
      if (close < 0 || close >= end) return undefined;
      delimiter += text.slice(i + 1, close);
      i = close;
    } else if (char !== '$' || !/['"]/.test(text[i + 1] ?? '')) delimiter += char;
  }
  return i === begin ? undefined : { delimiter, isQuoted, stripsTabs, end: i };
}

/**
 * Where the text of a heredoc ends that begins at `begin`, and where the script goes on. In `$( … )` the delimiter may be
 * followed by the bracket that closes it.
 */
export function endOfHeredoc(
  text: string,
  begin: number,
  end: number,
  { delimiter, isQuoted, stripsTabs }: Heredoc,
  inBrackets: boolean,
): { end: number; next: number } {
  for (let at = begin; at < end;) {
    let lineEnd = lineEndAt(text, at, end);
    // A backslash joins lines before they are compared.
    if (!isQuoted) while (lineEnd < end && isContinued(text, at, lineEnd)) lineEnd = lineEndAt(text, lineEnd + 1, end);
    const tabs = stripsTabs ? /^\t*/.exec(text.slice(at, lineEnd))![0].length : 0;
    const line = text.slice(at + tabs, lineEnd);
    const compared = isQuoted ? line : line.replaceAll('\\\n', '');
    if (compared === delimiter) return { end: at, next: Math.min(lineEnd + 1, end) };
    if (inBrackets && line.startsWith(delimiter) && line.includes(')', delimiter.length)) {
      return { end: at, next: at + tabs + delimiter.length };
    }
    at = lineEnd + 1;
  }
  return { end, next: end };
}

function lineEndAt(text: string, at: number, end: number): number {
  const found = text.indexOf('\n', at);
  return found < 0 || found > end ? end : found;
}

function isContinued(text: string, begin: number, lineEnd: number): boolean {
  let i = lineEnd;
  while (i > begin && text[i - 1] === '\\') i--;
  return (lineEnd - i) % 2 === 1;
}
