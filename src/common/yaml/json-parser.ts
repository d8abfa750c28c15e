import { Flaws, type Flaw } from './document-errors.js';
import { type DocumentPath, shorten } from './document-path.js';
import { LIMITS } from './limits.js';
import type { Place, Places } from './parsed-document.js';
import { refusedKey, refusedNumber, refusedText, type Refusal } from './value-checks.js';

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
/** The body of a string: no bare control characters, escapes of the known kinds only. */
// eslint-disable-next-line no-control-regex -- JSON forbids them in texts
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
/** As much of a string as is in order. */
// eslint-disable-next-line no-control-regex -- as above
const STRING_BEGUN = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;
/** What people write where JSON has no such thing; long enough for a message. */
const WORD = /[\w.+-]{1,40}/y;

/**
 * Strict JSON, as `JSON.parse` takes it, but with places, with all duplicate keys refused, and within the limits.
 * Recursive, which the limit on depth makes safe.
 */
export class JsonParser implements Places {
  root: Place = { valueOffset: 0 };
  private at = 0;
  private nodes = 0;
  private readonly flaws = new Flaws();
  private readonly path: (string | number)[] = [];
  private readonly entries = new Map<object, Map<string | number, Place>>();

  constructor(private readonly text: string) {}

  parse(): unknown {
    this.skipSpace();
    if (this.at >= this.text.length) {
      this.refuse('The document is empty', 'Send a JSON object: {"apiVersion": …}');
    }
    const start = this.at;
    const value = this.value(0);
    this.root = { valueOffset: start };
    this.skipSpace();
    if (this.at < this.text.length) {
      this.refuse('There is more text after the end of the JSON document', 'Send one JSON document only.');
    }
    this.flaws.throwIfAny();
    return value;
  }

  find(container: object, key: string | number): Place | undefined {
    return this.entries.get(container)?.get(key);
  }

  private value(depth: number): unknown {
    if (++this.nodes > LIMITS.nodes) this.refuse(`The document has more than ${LIMITS.nodes} values`);
    const char = this.text[this.at];
    if (char === '{' || char === '[') {
      if (depth >= LIMITS.depth) this.refuse(`Objects and lists are nested more than ${LIMITS.depth} deep`);
      return char === '{' ? this.object(depth + 1) : this.array(depth + 1);
    }
    if (char === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at) && this.match(WORD, this.at)?.[0] === word) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private object(depth: number): Record<string, unknown> {
    const opened = this.at++;
    const result: Record<string, unknown> = {};
    const places = new Map<string | number, Place>();
    this.entries.set(result, places);
    this.skipSpace();
    if (this.take('}')) return result;
    for (;;) {
      const keyOffset = this.at;
      const key = this.key(opened);
      this.path.push(key);
      this.skipSpace();
      if (!this.take(':')) this.unexpected(opened, `':' after the key "${shorten(key, 40)}"`);
      this.skipSpace();
      const valueOffset = this.at;
      const value = this.value(depth);
      if (this.keyAllowed(key, keyOffset, places)) {
        result[key] = value;
        places.set(key, { keyOffset, valueOffset, source: this.sourceFrom(valueOffset, value) });
      }
      this.path.pop();
      this.skipSpace();
      if (this.take('}')) return result;
      if (!this.take(',')) this.unexpected(opened, "',' or '}'");
      this.skipSpace();
    }
  }

  private array(depth: number): unknown[] {
    const opened = this.at++;
    const result: unknown[] = [];
    const places = new Map<string | number, Place>();
    this.entries.set(result, places);
    this.skipSpace();
    if (this.take(']')) return result;
    for (;;) {
      const valueOffset = this.at;
      this.path.push(result.length);
      const value = this.value(depth);
      this.path.pop();
      places.set(result.length, { valueOffset, source: this.sourceFrom(valueOffset, value) });
      result.push(value);
      this.skipSpace();
      if (this.take(']')) return result;
      if (!this.take(',')) this.unexpected(opened, "',' or ']'");
      this.skipSpace();
    }
  }

  private key(opened: number): string {
    if (this.text[this.at] === '"') return this.string();
    if (this.text[this.at] === '}') this.refuse("There is a ',' before the closing '}'", "Remove the ','.");
    if (this.at >= this.text.length) this.unexpected(opened, 'a key');
    return this.refuse('A key in double quotes is expected here', 'Write keys as "key": value');
  }

  private keyAllowed(key: string, offset: number, places: Map<string | number, Place>): boolean {
    const first = places.get(key);
    if (first !== undefined) {
      this.flaw({
        offset,
        message: `The key "${shorten(key, 80)}" stands twice in the same object`,
        hint: 'Keep one of the two.',
      });
    }
    const refusal = refusedKey(key);
    if (refusal !== undefined) this.flaw({ offset, ...refusal });
    return first === undefined && refusal === undefined;
  }

  private string(): string {
    const found = this.match(STRING, this.at)?.[0];
    if (found === undefined) return this.badString();
    const offset = this.at;
    this.at += found.length;
    const text = found.includes('\\') ? (JSON.parse(found) as string) : found.slice(1, -1);
    this.reportIf(refusedText(text), offset);
    return text;
  }

  /** Finds what ends the string too early: an escape, a control character, or the end of the text. */
  private badString(): never {
    const start = this.at;
    const good = this.match(STRING_BEGUN, start)?.[0].length ?? 0;
    this.at = start + good;
    const char = this.text[this.at];
    if (char === '\\') {
      this.refuse(`'${this.text.slice(this.at, this.at + 2)}' is no escape in JSON`, 'Write \\\\ for a backslash.');
    }
    if (char === undefined || char === '\n' || char === '\r') {
      this.at = start;
      this.refuse('This text has no closing quote', 'Close it with " in the same line; write \\n for a line break.');
    }
    return this.refuse(
      'A control character stands in a text',
      'Write it as an escape: \\t for a tab, \\n for a new line.',
    );
  }

  private number(): number {
    const found = this.match(NUMBER, this.at)?.[0];
    // A word that goes on after the number, such as 01, 1.2.3 or 12px, is none.
    if (found === undefined || this.match(WORD, this.at + found.length) !== null) return this.badValue();
    const value = Number(found);
    this.reportIf(refusedNumber(value, shorten(found, 40)), this.at);
    this.at += found.length;
    return value === 0 ? 0 : value;
  }

  private badValue(): never {
    const char = this.text[this.at];
    if (char === undefined) return this.refuse('The document ends where a value is expected', 'Is it complete?');
    if (char === "'") return this.refuse('Single quotes are not JSON', 'Use double quotes: "…"');
    if (char === '}' || char === ']')
      return this.refuse(`A value is missing before '${char}'`, "Remove a ',' that is too many.");
    if (char === '/' || char === '#') return this.refuse('JSON has no comments', YAML_HINT);
    const word = this.match(WORD, this.at)?.[0] ?? String.fromCodePoint(this.text.codePointAt(this.at) ?? 0);
    return this.refuse(`'${word}' is no JSON value`, `Put texts in double quotes. ${YAML_HINT}`);
  }

  private unexpected(opened: number, expected: string): never {
    if (this.at < this.text.length) return this.refuse(`${expected} is expected here`);
    const kind = this.text[opened] === '{' ? 'object' : 'list';
    this.at = opened;
    return this.refuse(`This ${kind} is not closed`, 'Is the document complete?');
  }

  private sourceFrom(offset: number, value: unknown): string | undefined {
    return typeof value === 'object' || typeof value === 'string' ? undefined : this.text.slice(offset, this.at);
  }

  private take(char: string): boolean {
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private skipSpace(): void {
    SPACE.lastIndex = this.at;
    SPACE.exec(this.text);
    this.at = SPACE.lastIndex;
  }

  private match(pattern: RegExp, offset: number): RegExpExecArray | null {
    pattern.lastIndex = offset;
    return pattern.exec(this.text);
  }

  private reportIf(refusal: Refusal | undefined, offset: number): void {
    if (refusal !== undefined) this.flaw({ offset, ...refusal });
  }

  private flaw(flaw: Flaw): void {
    this.flaws.add({ ...flaw, path: this.here() });
  }

  private refuse(message: string, hint?: string): never {
    return this.flaws.refuse({ offset: this.at, message, ...(hint === undefined ? {} : { hint }), path: this.here() });
  }

  private here(): DocumentPath {
    return [...this.path];
  }
}

const YAML_HINT = 'Is this YAML? Then send it as application/yaml.';

const WORDS: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];
