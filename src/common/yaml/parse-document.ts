import type { ErrorCode } from '../problem/error-codes.js';
import { Flaws, malformed, TextRefused, toItem } from './document-errors.js';
import { decodeText } from './decode-text.js';
import { JsonParser } from './json-parser.js';
import { LineIndex } from './line-index.js';
import { ParsedDocument, type PlacedValue } from './parsed-document.js';
import { quickJson } from './quick-json.js';
import { quickYaml } from './quick-yaml.js';
import { YamlPlaces } from './yaml-places.js';
import { readYaml } from './yaml-reader.js';
import { YamlToValue } from './yaml-to-value.js';

export type DocumentKind = 'yaml' | 'json';

/**
 * Parses a document of unknown origin into plain data. Throws a `Problem` with status 400 and every error's place for
 * whatever is not well-formed or goes beyond the limits; never anything else.
 */
export function parseDocument(body: Buffer | string, kind: DocumentKind): ParsedDocument {
  const text = decodeText(body);
  const quick = kind === 'json' ? quickJson(text) : quickYaml(text);
  if (quick !== undefined) return new ParsedDocument(text, quick, () => parseWithPlaces(text, kind));
  const placed = parseWithPlaces(text, kind);
  return new ParsedDocument(text, placed.value, () => placed);
}

/** The same as `parseDocument` in all cases, but for the time it takes. */
export function parseWithPlaces(text: string, kind: DocumentKind): PlacedValue {
  try {
    return kind === 'json' ? fromJson(text) : fromYaml(text);
  } catch (error) {
    throw problemOf(error, text, kind === 'json' ? 'malformed_json' : 'malformed_yaml');
  }
}

function fromJson(text: string): PlacedValue {
  const parser = new JsonParser(text);
  return { value: parser.parse(), places: parser };
}

function fromYaml(text: string): PlacedValue {
  refuseControlCharacters(text);
  const document = readYaml(text);
  const places = new YamlPlaces();
  places.root = { valueOffset: document.contents?.range[0] ?? 0 };
  return { value: new YamlToValue(places).convert(document), places };
}

/** What YAML calls not printable, and carriage returns that end no line. */
// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|\r(?!\n)/g;

function refuseControlCharacters(text: string): void {
  const flaws = new Flaws();
  for (const found of text.matchAll(CONTROL)) flaws.add({ offset: found.index, ...wordsFor(found[0]) });
  flaws.throwIfAny();
}

function wordsFor(char: string): { message: string; hint: string } {
  if (char === '\r') {
    return { message: 'A carriage return without a line feed', hint: 'Save the document with LF or CRLF line ends.' };
  }
  if (char === '\0') {
    return { message: 'The document contains the character NUL', hint: 'Is it saved as UTF-16? Save it as UTF-8.' };
  }
  const code = char.charCodeAt(0).toString(16).padStart(2, '0');
  return {
    message: `The document contains the control character 0x${code}`,
    hint: `Remove it, or write it as "\\x${code}" in double quotes.`,
  };
}

function problemOf(error: unknown, text: string, code: ErrorCode): unknown {
  if (error instanceof TextRefused) {
    const lines = new LineIndex(text);
    return malformed(
      code,
      error.flaws.map((flaw) => toItem(flaw, lines)),
    );
  }
  // The limits should make this impossible; if not, a stack that is too small for the text is still the text's fault.
  if (error instanceof RangeError) {
    return malformed(code, [{ line: 1, column: 1, message: 'The document is too complex', hint: 'Nest it less.' }]);
  }
  return error;
}
