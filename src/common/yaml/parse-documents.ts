import { Problem, type ProblemItem } from '../problem/problem.js';
import { decodeText } from './decode-text.js';
import { malformed } from './document-errors.js';
import { parseDocument } from './parse-document.js';
import type { ParsedDocument } from './parsed-document.js';

/** A line that begins a document; nothing else in YAML may begin a line like this. */
const MARKER = /^---(?=[ \t\r\n]|$)/gm;
/** Of comments, directives and the mark of an end alone there is no document. */
const NOTHING = /^(?:---)?(?:[ \t]*(?:#.*)?\r?\n|%.*\n|\.\.\.[ \t]*\r?\n)*[ \t]*(?:#.*|\.\.\.)?$/;

const MAX_DOCUMENTS = 100;

/** Several documents in one text, as files may have them. Each keeps its lines; all errors are thrown together. */
export function parseDocuments(body: Buffer | string): ParsedDocument[] {
  const text = decodeText(body);
  const parts = split(text).filter(({ own }) => !NOTHING.test(own));
  // What has no document at all is told in the parser's own words.
  if (parts.length === 0) return [parseDocument(text, 'yaml')];
  if (parts.length > MAX_DOCUMENTS) {
    const message = `There are more than ${MAX_DOCUMENTS} documents in this text`;
    throw malformed('malformed_yaml', [{ line: parts[MAX_DOCUMENTS]!.linesBefore + 1, column: 1, message }]);
  }
  const documents: ParsedDocument[] = [];
  const errors: ProblemItem[] = [];
  for (const { own, linesBefore } of parts) {
    try {
      const document = parseDocument(own, 'yaml');
      document.linesBefore = linesBefore;
      documents.push(document);
    } catch (error) {
      if (!(error instanceof Problem) || error.errors.length === 0) throw error;
      errors.push(...error.errors.map((item) => ({ ...item, line: (item.line ?? 1) + linesBefore })));
    }
  }
  if (errors.length > 0) throw malformed('malformed_yaml', errors);
  return documents;
}

function split(text: string): { own: string; linesBefore: number }[] {
  const starts = [0, ...[...text.matchAll(MARKER)].map(({ index }) => index)];
  let linesBefore = 0;
  return starts.map((start, index) => {
    const own = text.slice(start, starts[index + 1]);
    const part = { own, linesBefore };
    linesBefore += own.match(/\n/g)?.length ?? 0;
    return part;
  });
}
