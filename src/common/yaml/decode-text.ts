import { isUtf8 } from 'node:buffer';
import { Problem } from '../problem/problem.js';
import { LineIndex } from './line-index.js';

const HINT = 'Save the document as UTF-8 and send it again.';

/** Byte order marks of what is not UTF-8. UTF-32's begin like UTF-16's, so they come first. */
const FOREIGN_MARKS: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['UTF-32', [0xff, 0xfe, 0, 0]],
  ['UTF-32', [0, 0, 0xfe, 0xff]],
  ['UTF-16', [0xff, 0xfe]],
  ['UTF-16', [0xfe, 0xff]],
];

/** The text of a body, which must be UTF-8, with or without a byte order mark. The result is always well-formed. */
export function decodeText(body: Buffer | string): string {
  if (typeof body === 'string') return withoutMark(wellFormed(body));
  for (const [name, bytes] of FOREIGN_MARKS) {
    if (bytes.every((byte, at) => body[at] === byte)) {
      throw refused(`The document is encoded in ${name}, not UTF-8`, { line: 1, column: 1 });
    }
  }
  const text = body.toString('utf8');
  if (!isUtf8(body)) {
    const offset = firstReplaced(body, text);
    throw refused('These bytes are not UTF-8', new LineIndex(text).position(offset));
  }
  return withoutMark(text);
}

/** Where decoding put U+FFFD for bytes that are none; U+FFFD written as such is legal. */
function firstReplaced(body: Buffer, text: string): number {
  let bytes = 0;
  let seen = 0;
  for (let at = text.indexOf('\uFFFD'); at !== -1; at = text.indexOf('\uFFFD', at + 1)) {
    bytes += Buffer.byteLength(text.slice(seen, at));
    seen = at;
    if (body[bytes] !== 0xef || body[bytes + 1] !== 0xbf || body[bytes + 2] !== 0xbd) return at;
  }
  return 0;
}

function wellFormed(text: string): string {
  const at = text.search(/\p{Surrogate}/u);
  if (at === -1) return text;
  throw refused('Half of a surrogate pair is no character', new LineIndex(text).position(at));
}

function withoutMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

function refused(message: string, place: { line: number; column: number }): Problem {
  return new Problem('invalid_encoding', `Line ${place.line}, column ${place.column}: ${message}.`, {
    errors: [{ ...place, message, hint: HINT }],
  });
}
