import { didYouMean } from '../../common/did-you-mean.js';
import { DURATION_EXAMPLES, parseDuration } from '../../common/duration.js';
import { type DocumentIssue, MAX_COUNTED } from '../../common/yaml/document-issue.js';
import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import { describeValue, typeHint } from '../../common/yaml/plain-words.js';

/** Which names a mapping of texts takes. */
export interface NameRule {
  readonly pattern: RegExp;
  /** What such a name is, e.g. `a variable`. */
  readonly of: string;
  readonly allowed: string;
}

export const VARIABLE_NAMES: NameRule = {
  pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
  of: 'a variable',
  allowed: "Allowed: letters, digits and '_', no digit first.",
};

/**
 * Reads the entries of one mapping of a document. What is absent is `undefined`; so is what is wrong, once it has been
 * noted, so that all entries get read.
 */
export class Fields {
  constructor(
    readonly document: ParsedDocument,
    readonly raw: Readonly<Record<string, unknown>>,
    readonly path: DocumentPath,
    readonly issues: DocumentIssue[],
  ) {}

  has(key: string): boolean {
    return Object.hasOwn(this.raw, key);
  }

  /** The mapping under a key, for reading its entries in turn. */
  mapping(key: string): Fields | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    if (isMapping(value)) return new Fields(this.document, value, [...this.path, key], this.issues);
    return this.wrongType([key], 'a mapping', 'object', value);
  }

  text(key: string): string | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    return typeof value === 'string' && value !== '' ? value : this.wrongType([key], 'a text', 'string', value);
  }

  boolean(key: string): boolean | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    return typeof value === 'boolean' ? value : this.wrongType([key], 'true or false', 'boolean', value);
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    if (choices.includes(value as T)) return value as T;
    const meant = typeof value === 'string' ? didYouMean(value, choices) : undefined;
    const message = `'${key}' must be one of ${choices.join(', ')}, but is ${describeValue(value)}`;
    return this.wrong([key], message, meant === undefined ? undefined : `Did you mean '${meant}'?`);
  }

  /** A number within bounds; `words` says what is expected. */
  number(key: string, words: string, fits: (value: number) => boolean): number | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    if (typeof value === 'number' && fits(value)) return value;
    const source = this.document.sourceOf([...this.path, key]);
    const message = `'${key}' must be ${words}, but is ${describeValue(value, source)}`;
    return this.wrong([key], message, typeHint('number', value, key, source));
  }

  /** A time in seconds, written as a number of seconds or as a duration. */
  seconds(key: string, { maxDays, orZero = false }: { maxDays: number; orZero?: boolean }): number | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw[key];
    const milliseconds = typeof value === 'string' ? parseDuration(value) : Number(value) * 1000;
    const valid = typeof value === 'string' || typeof value === 'number';
    if (!valid || milliseconds === undefined || !(orZero ? milliseconds >= 0 : milliseconds > 0)) {
      const message = `'${key}' must be a time${orZero ? '' : ' above zero'}, but is ${describeValue(value)}`;
      return this.wrong([key], message, `Write seconds such as 30, or a duration: ${DURATION_EXAMPLES}.`);
    }
    if (milliseconds > maxDays * 86_400_000) {
      return this.wrong([key], `'${key}' is longer than ${maxDays} days`, 'Write a shorter time.');
    }
    return milliseconds / 1000;
  }

  /** Names and their texts; numbers and the words true and false are taken as they are written. */
  texts(key: string, names: NameRule): Record<string, string> | undefined {
    const entries = this.mapping(key);
    if (entries === undefined) return undefined;
    const texts: Record<string, string> = {};
    for (const [name, value] of Object.entries(entries.raw)) {
      if (this.issues.length > MAX_COUNTED) break;
      if (!names.pattern.test(name)) {
        const message = `'${shorten(name, 80)}' is not a valid name of ${names.of}`;
        entries.wrong([name], message, names.allowed, 'key');
      }
      if (typeof value === 'string' || typeof value === 'boolean') texts[name] = String(value);
      // As written: 1.10 is a version more often than a number.
      else if (typeof value === 'number')
        texts[name] = entries.document.sourceOf([...entries.path, name]) ?? `${value}`;
      else entries.wrongType([name], 'a text, a number or true or false', 'string', value);
    }
    return texts;
  }

  /** Notes every key that is not among the known ones; `where` says of what, e.g. `a workflow`. */
  unknownKeys(known: readonly string[], where: string): void {
    for (const key of Object.keys(this.raw)) {
      if (known.includes(key)) continue;
      if (this.issues.length > MAX_COUNTED) return;
      const meant = didYouMean(key, known);
      const hint = meant === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean '${meant}'?`;
      this.wrong([key], `unknown key '${shorten(key, 80)}' in ${where}`, hint, 'key');
    }
  }

  wrongType(path: DocumentPath, expected: string, type: string, value: unknown): undefined {
    const source = this.document.sourceOf([...this.path, ...path]);
    const key = shorten(String(path.at(-1)), 80);
    const message = `'${key}' must be ${expected}, but is ${describeValue(value, source)}`;
    return this.wrong(path, message, typeHint(type, value, key, source));
  }

  /** `path` is relative to this mapping. */
  wrong(path: DocumentPath, message: string, hint?: string, part?: 'key' | 'value'): undefined {
    this.issues.push({
      path: [...this.path, ...path],
      message,
      ...(part === undefined ? {} : { part }),
      ...(hint === undefined ? {} : { hint }),
    });
    return undefined;
  }
}
