/** A place in a text as people count: both from 1, columns in characters. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

const MAX_LINE_TEXT = 1000;

/** Translates offsets of a text to lines and columns. Built when the first error needs it, not for good documents. */
export class LineIndex {
  private readonly starts: number[] = [0];

  constructor(private readonly text: string) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.starts.push(at + 1);
  }

  position(offset: number): Position {
    const line = this.lineAt(offset);
    const start = this.offsetOf(line);
    return { line, column: characters(this.text, start, Math.min(offset, this.text.length)) + 1 };
  }

  /** The line alone, which costs nothing however long the line is. */
  lineAt(offset: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  /** The beginning of a line, from 1: enough of it to see what it is. */
  lineText(line: number): string {
    const start = this.offsetOf(line);
    const end = Math.min(this.offsetOf(line + 1), start + MAX_LINE_TEXT);
    return this.text.slice(start, end).replace(/\r?\n$/, '');
  }

  /** The offset at which a line, from 1, begins; the text's end for lines beyond it. */
  offsetOf(line: number): number {
    return this.starts[line - 1] ?? this.text.length;
  }
}

/** An emoji is one character, although JavaScript counts two. */
function characters(text: string, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  return count;
}
