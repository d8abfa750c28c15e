import { Composer, CST, type Document, type ErrorCode as YamlErrorCode, isScalar, Lexer, Parser, Scalar } from 'yaml';
import { type Flaw, Flaws } from './document-errors.js';
import { LIMITS } from './limits.js';
import { explain, type Finding } from './yaml-messages.js';

/** Only the plain types of YAML 1.2 exist: no timestamps, no sets, no binary, and no tag can name anything else. */
const OPTIONS = {
  version: '1.2',
  schema: 'core',
  resolveKnownTags: false,
  merge: false,
  // Looked for in yaml-to-value.ts, in linear time; the library compares every key with every other.
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

type ErrorSource = number | [number, number] | { offset: number };
type OnError = (source: ErrorSource, code: YamlErrorCode, message: string, warning?: boolean) => void;

/**
 * Reads a YAML text into the library's syntax tree. The library itself has no bounds, so its three stages are driven from
 * here, token by token: what nests too deep or never ends is refused before any stage has spent time on it.
 */
export function readYaml(text: string): Document.Parsed {
  return new YamlReader(text).read();
}

class YamlReader {
  private readonly flaws = new Flaws();
  private readonly findings: Finding[] = [];
  private readonly parser = new Parser();
  private readonly composer = new Composer(OPTIONS);
  private document: Document.Parsed | undefined;
  private documentTokens = 0;
  private tokens = 0;
  private offset = 0;
  /** Where the first quote or bracket without its partner stands: the error itself is only met at the text's end. */
  private openQuote: number | undefined;
  private openBracket: number | undefined;

  constructor(private readonly text: string) {
    // Private in the library's types. Without this hook it would collect half a million errors before it returns. Tests
    // with such texts show that the hook is in use.
    (this.composer as unknown as { onError: OnError }).onError = (source, code, message, warning) => {
      if (warning !== true || SERIOUS_WARNINGS.has(code)) this.report(offsetOf(source), code, message);
    };
  }

  read(): Document.Parsed {
    for (const lexeme of new Lexer().lex(this.text)) {
      this.inspect(lexeme);
      for (const token of this.parser.next(lexeme)) this.accept(token);
      // Beside the collections, the stack holds the document and the token being read.
      if (this.parser.stack.length > LIMITS.depth + 2) {
        this.refuse(`Mappings and lists are nested more than ${LIMITS.depth} deep`);
      }
      if (!MARKERS.has(lexeme)) this.offset += lexeme.length;
    }
    this.openBracket ??= this.parser.stack.findLast(isOpenBracket)?.offset;
    for (const token of this.parser.end()) this.accept(token);
    for (const document of this.composer.end(true, this.text.length)) this.document ??= document;
    this.throwFindings();
    if (this.document === undefined || isNothing(this.document.contents)) {
      return this.flaws.refuse({
        offset: 0,
        message: 'The document is empty',
        hint: 'Send a Score document; it begins with "apiVersion: score.dev/v1b1".',
      });
    }
    return this.document;
  }

  private inspect(lexeme: string): void {
    if (++this.tokens > LIMITS.tokens) {
      this.refuse(`The document has more than ${LIMITS.tokens} tokens`, 'Split it, or leave out what is not needed.');
    }
    const first = lexeme[0];
    if (lexeme === '\x18') {
      this.openBracket ??= this.parser.stack.findLast(isOpenBracket)?.offset;
    } else if ((first === '"' || first === "'") && (lexeme.length === 1 || !lexeme.endsWith(first))) {
      this.openQuote ??= this.offset;
    }
  }

  private accept(token: CST.Token): void {
    if (token.type === 'directive') this.directive(token);
    if (token.type === 'document' && ++this.documentTokens > 1) {
      this.report(token.offset, 'MULTIPLE_DOCS', 'several documents');
      // What follows belongs to the other document.
      this.throwFindings();
    }
    if (token.type === 'error') {
      this.report(token.offset, 'UNEXPECTED_TOKEN', token.message);
      return;
    }
    for (const document of this.composer.next(token)) this.document ??= document;
  }

  private directive(token: CST.Directive): void {
    if (/^%YAML\s+1\.2\s*$/.test(token.source)) return;
    this.report(token.offset, 'BAD_DIRECTIVE', token.source);
  }

  private report(offset: number, code: YamlErrorCode, message: string): void {
    this.findings.push({ offset, code, message });
    if (this.findings.length >= LIMITS.problems) this.throwFindings();
  }

  private throwFindings(): void {
    if (this.findings.length === 0) return;
    for (const flaw of this.explained()) this.flaws.list.push(flaw);
    this.flaws.throwIfAny();
  }

  private refuse(message: string, hint?: string): never {
    for (const flaw of this.explained()) this.flaws.list.push(flaw);
    return this.flaws.refuse({ offset: this.offset, message, ...(hint === undefined ? {} : { hint }) });
  }

  private explained(): Flaw[] {
    return explain(this.findings, { text: this.text, openQuote: this.openQuote, openBracket: this.openBracket });
  }
}

/** Lexemes that stand for no text: start of a document, unclosed bracket, start of a scalar. */
const MARKERS = new Set<string>([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]);

/** The library only warns of a tag it ignores. Its other warnings, of bad taste, are no reason to refuse a document. */
const SERIOUS_WARNINGS = new Set<YamlErrorCode>(['TAG_RESOLVE_FAILED', 'BAD_COLLECTION_TYPE', 'BAD_DIRECTIVE']);

function isOpenBracket(token: CST.Token): boolean {
  return token.type === 'flow-collection' && token.end.length === 0;
}

/** A document of comments or markers alone. One that says `null` is not empty. */
function isNothing(contents: unknown): boolean {
  return contents === null || (isScalar(contents) && contents.type === Scalar.PLAIN && contents.source === '');
}

function offsetOf(source: ErrorSource): number {
  if (typeof source === 'number') return source;
  return Array.isArray(source) ? source[0] : source.offset;
}
