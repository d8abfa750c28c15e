import type { ErrorCode as YamlErrorCode } from 'yaml';
import type { Flaw } from './document-errors.js';
import { shorten } from './document-path.js';
import { LineIndex } from './line-index.js';

/** An error of the YAML library. */
export interface Finding {
  readonly offset: number;
  readonly code: YamlErrorCode;
  readonly message: string;
}

export interface TextFacts {
  readonly text: string;
  readonly openQuote: number | undefined;
  readonly openBracket: number | undefined;
}

/**
 * Says the library's errors in plain words, at the place where the mistake was made instead of where it was noticed, and
 * one a line: what follows in the same line is nearly always the same mistake again.
 */
export function explain(findings: readonly Finding[], facts: TextFacts): Flaw[] {
  const lines = new LineIndex(facts.text);
  const flaws = new Map<number, Flaw>();
  // All that comes after a quote or bracket which is not closed was read in a wrong way.
  const end = Math.min(facts.openQuote ?? Infinity, facts.openBracket ?? Infinity);
  for (const finding of findings) {
    if (finding.offset > end && flaws.size > 0 && [...flaws.values()].some((flaw) => flaw.offset >= end)) continue;
    const flaw = explainOne(finding, findings, facts, lines);
    const line = lines.lineAt(flaw.offset);
    if (!flaws.has(line)) flaws.set(line, flaw);
  }
  return [...flaws.values()];
}

function explainOne(finding: Finding, all: readonly Finding[], facts: TextFacts, lines: LineIndex): Flaw {
  const { offset, code } = finding;
  if (facts.openQuote !== undefined && offset >= facts.openQuote) return unclosedQuote(facts.openQuote);
  if (facts.openBracket !== undefined && offset >= facts.openBracket)
    return unclosedBracket(facts.openBracket, facts.text);
  const tab = indentingTab(offset, lines);
  if (code === 'TAB_AS_INDENT' || tab !== undefined) {
    return {
      offset: tab ?? offset,
      message: 'This line is indented with a tab',
      hint: 'YAML does not allow tabs for indentation: use spaces.',
    };
  }
  if (code === 'BLOCK_AS_IMPLICIT_KEY' || code === 'MULTILINE_IMPLICIT_KEY') {
    return misplacedKey(finding, all, facts.text, lines);
  }
  const fixed = FIXED[code];
  if (fixed !== undefined) return { offset, ...fixed };
  // Of a line as a whole, its first character is the place.
  const blank = /[ ]*/y;
  blank.lastIndex = offset;
  blank.exec(facts.text);
  return { offset: blank.lastIndex, ...worded(finding, facts.text, lines) };
}

function unclosedQuote(offset: number): Flaw {
  return {
    offset,
    message: 'This text has no closing quote',
    hint: 'Close it with the same quote; write a quote inside single quotes twice, inside double quotes as \\".',
  };
}

function unclosedBracket(offset: number, text: string): Flaw {
  const open = text[offset] === '{' ? '{' : '[';
  const hint = `Close it with '${open === '{' ? '}' : ']'}'; lines between the brackets are indented deeper than the key.`;
  return { offset, message: `This '${open}' is not closed`, hint };
}

/** The place of a tab among the spaces that begin the line. */
function indentingTab(offset: number, lines: LineIndex): number | undefined {
  const line = lines.lineAt(offset);
  const tab = /^ *\t/.exec(lines.lineText(line));
  return tab === null ? undefined : lines.offsetOf(line) + tab[0].length - 1;
}

/**
 * The library reports both of two quite different mistakes as a bad key: a line without its colon, whose text runs on
 * into the next line's key, and a line indented deeper than the one above, which has a value already.
 */
function misplacedKey(finding: Finding, all: readonly Finding[], text: string, lines: LineIndex): Flaw {
  const { offset } = finding;
  const codes = new Set(all.filter((other) => other.offset === offset).map((other) => other.code));
  if (!codes.has('MULTILINE_IMPLICIT_KEY')) {
    return {
      offset,
      message: "A second ': ' in one line: a value cannot be a mapping here",
      hint: 'Put the value in quotes if it is a text; begin a new line if it is a mapping.',
    };
  }
  if (codes.has('BLOCK_AS_IMPLICIT_KEY')) {
    const next = nextContentLine(offset, lines);
    return { offset: next, ...TOO_DEEP };
  }
  const next = nextContentLine(offset, lines);
  if (/^-[^\s-]/.test(text.slice(next, next + 2))) {
    return { offset: next, message: "A space is missing after '-'", hint: "Write '- ' before each item of a list." };
  }
  return { offset, ...missingColon(/^[^\n\r]*/.exec(text.slice(offset, offset + 200))?.[0].trim() ?? '') };
}

/** The first character of the next line that has any, comments left aside. */
function nextContentLine(offset: number, lines: LineIndex): number {
  let line = lines.lineAt(offset);
  const last = line + 100;
  while (line < last) {
    const text = lines.lineText(++line);
    const indent = text.search(/[^\s]/);
    if (indent !== -1 && text[indent] !== '#') return lines.offsetOf(line) + indent;
  }
  return offset;
}

const TOO_DEEP: Words = {
  message: 'This line is indented too far: the line above has a value already',
  hint: 'Indent it like the keys above, or remove the value above if this line belongs inside it.',
};

type Words = Pick<Flaw, 'message' | 'hint'>;

const FIXED: Partial<Record<YamlErrorCode, Words>> = {
  MULTIPLE_DOCS: {
    message: 'A second document begins here',
    hint: "Send one document only: remove the '---', or split the file.",
  },
  BAD_DIRECTIVE: {
    message: 'This directive is not supported',
    hint: 'Remove the line that begins with %, or quote the value if it is one.',
  },
  KEY_OVER_1024_CHARS: {
    message: 'A key may have 1024 characters at most',
    hint: 'Is a line break or a quote missing?',
  },
  TAG_RESOLVE_FAILED: {
    message: 'This tag is not supported',
    hint: "Remove the word that begins with '!'; put the value in quotes if the '!' belongs to it.",
  },
  MULTIPLE_ANCHORS: {
    message: 'A value can have one anchor only',
    hint: "Remove one of the words that begin with '&'.",
  },
  MULTIPLE_TAGS: { message: 'A value can have one tag only', hint: "Remove the words that begin with '!'." },
  ALIAS_PROPS: { message: 'An alias can have neither an anchor nor a tag of its own', hint: 'Remove it.' },
  BAD_COLLECTION_TYPE: { message: 'The tag does not fit the value', hint: 'Remove the tag.' },
  BAD_ALIAS: { message: 'This is no name of an anchor', hint: "Put a value that begins with '*' or '&' in quotes." },
  RESOURCE_EXHAUSTION: { message: 'The document is too complex', hint: 'Split it, or nest it less.' },
};

/** A line that begins further right than the one above, which is no parent: it has a value. */
function badIndent(offset: number, lines: LineIndex): Words {
  const line = lines.lineAt(offset);
  const above = previousContentLine(line, lines);
  if (indentOf(lines.lineText(line)) > indentOf(above) && /:\s+\S/.test(above)) return TOO_DEEP;
  return {
    message: 'This line does not begin in the column of the lines it belongs to',
    hint: 'Give all keys of one mapping, and all items of one list, the same indentation.',
  };
}

function previousContentLine(line: number, lines: LineIndex): string {
  for (let above = line - 1; above > Math.max(0, line - 100); above--) {
    const text = lines.lineText(above);
    if (/^\s*[^\s#]/.test(text)) return text;
  }
  return '';
}

function indentOf(text: string): number {
  return Math.max(0, text.search(/[^ ]/));
}

function worded({ code, message, offset }: Finding, text: string, lines: LineIndex): Words {
  const char = String.fromCodePoint(text.codePointAt(offset) ?? 0x20).trim();
  if (code === 'BAD_INDENT') return badIndent(offset, lines);
  if (code === 'MISSING_CHAR') return missing(message, offset, lines);
  if (code === 'BAD_SCALAR_START') {
    return { message: `A value cannot begin with '${char}'`, hint: 'Put the value in quotes.' };
  }
  if (code === 'BAD_DQ_ESCAPE') {
    return {
      message: `'${shorten(message.replace('Invalid escape sequence ', ''), 10)}' is no escape in double quotes`,
      hint: 'Write \\\\ for a backslash, or use single quotes, which have no escapes.',
    };
  }
  return unexpected(message, char, text.slice(Math.max(0, offset - 10), offset));
}

function missing(message: string, offset: number, lines: LineIndex): Words {
  if (message.startsWith('Implicit map keys')) {
    const line = lines.lineText(lines.lineAt(offset)).trim();
    return missingColon(line);
  }
  if (message.startsWith('Sequence item')) {
    return {
      message: "This line stands among the items of a list but does not begin with '- '",
      hint: "Indent it under the item it belongs to, or begin it with '- '.",
    };
  }
  if (message.includes(',')) {
    return { message: "A ',' is missing between two entries", hint: 'Or is a quote or a bracket missing before it?' };
  }
  if (message.startsWith('Comments')) {
    return { message: "A space is missing before '#'", hint: 'Put the value in quotes if the # belongs to it.' };
  }
  return { message: 'Something is missing here', hint: `The parser says: ${shorten(message, 100)}.` };
}

function missingColon(line: string): Words {
  const together = /^([\w.-]+):(\S.*)$/.exec(line);
  if (together !== null) {
    const hint = `Write "${shorten(`${together[1]}: ${together[2]}`, 60)}".`;
    return { message: `A space is missing after the colon of '${shorten(together[1] ?? '', 40)}'`, hint };
  }
  const word = shorten(line.replace(/:?\s*$/, ''), 40);
  return { message: `A colon is missing after '${word}'`, hint: `Write "${word}:" or "${word}: value".` };
}

function unexpected(message: string, char: string, before: string): Words {
  if (/["']\s*$/.test(before) && char !== '') {
    return {
      message: 'The text goes on after its closing quote',
      hint: "Put the whole text in quotes; inside single quotes write '' for a quote, inside double quotes \\\".",
    };
  }
  if (message.startsWith('Block scalar header') || /[|>][-+\d]*\s*$/.test(before)) {
    return {
      message: "Only an indentation or a comment may follow '|' or '>'",
      hint: 'Begin the text in the next line.',
    };
  }
  if (message.includes('block-seq-ind on same line')) {
    return { message: 'A list cannot begin in the line of its key', hint: "Begin a new line before the '-'." };
  }
  return {
    message: char === '' ? 'Something is missing before the end of this line' : `'${char}' is not expected here`,
    hint: 'Check the quotes and brackets before it, and its indentation; quote texts with special characters.',
  };
}
