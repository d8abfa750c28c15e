/** Of a line of a secret that is masked by itself. */
const SHORTEST_LINE = 8;
/** What all keys of one kind have in common is no secret. */
const PEM_BORDER = /^-----(BEGIN|END) [A-Z0-9 ]+-----$/;

export interface Patterns {
  /** Of the value as it is, and decoded from URLs, JSON and what shells quote. */
  readonly plain: readonly Buffer[];
  /** Of its base64, in the standard alphabet. */
  readonly base64: readonly Buffer[];
}

/** What is looked for to find these values again. */
export function patternsOf(values: Iterable<string>): Patterns {
  const plain = new Set<string>();
  const base64 = new Set<string>();
  for (const value of values) {
    for (const text of [value, value.trim(), ...linesOf(value)]) if (text.length >= SHORTEST_LINE) plain.add(text);
    for (const text of encodingsOf(Buffer.from(value))) base64.add(text);
  }
  return {
    plain: [...plain].flatMap((text) => [Buffer.from(text), ...(hasPairs(text) ? [halvesOf(text)] : [])]),
    base64: [...base64].map((text) => Buffer.from(text, 'latin1')),
  };
}

function linesOf(value: string): string[] {
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  return lines.length === 1 ? [] : lines.filter((line) => !PEM_BORDER.test(line));
}

/**
 * In base64 a text has three forms, by how many bytes stand before it; of each, the characters that its neighbours have
 * no part in. Where nothing stands before it, also with its end, alone and with the line feed of `echo`.
 */
function encodingsOf(value: Buffer): string[] {
  const found = [value, Buffer.concat([value, Buffer.from('\n')])].map((bytes) => bytes.toString('base64'));
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(before), value]).toString('base64');
    found.push(encoded.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + value.length)) / 6)));
  }
  return found;
}

/** A character above U+FFFF is two escapes in JSON that has nothing but ASCII. */
function hasPairs(text: string): boolean {
  return /[\u{10000}-\u{10ffff}]/u.test(text);
}

/** The bytes that such a pair is decoded to, each half by itself. */
function halvesOf(text: string): Buffer {
  return Buffer.concat(Array.from({ length: text.length }, (_, at) => codeUnitBytes(text.charCodeAt(at))));
}

/** One UTF-16 unit as UTF-8 would write it, halves of pairs too. */
export function codeUnitBytes(unit: number): Buffer {
  if (unit < 0x80) return Buffer.from([unit]);
  if (unit < 0x800) return Buffer.from([0xc0 | (unit >> 6), 0x80 | (unit & 0x3f)]);
  return Buffer.from([0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)]);
}
