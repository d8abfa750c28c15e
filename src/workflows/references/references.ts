/** `${a.b}` in a text. `text` is how it is written, `offset` where, in UTF-16 units. */
export interface TextReference {
  readonly path: readonly string[];
  readonly text: string;
  readonly offset: number;
}

/** Where references get their values. `undefined`: there is no such thing, which is an error. */
export interface Scope {
  /** The value as text; of a mapping or a list, its JSON. */
  lookUp(path: readonly string[]): string | undefined;
  /** A sentence on a path that has no value. */
  whyMissing?(path: readonly string[]): string;
}

/** Where a value stands in a larger one: keys and places in lists. */
export type ValuePath = readonly (string | number)[];

/**
 * Names with a dot are ours; `${NAME}` is left to whoever reads the text. Of dollar signs before the brace two stand for
 * one: `$${a.b}` is the text `${a.b}`, and `$$${a.b}` a dollar sign and a value.
 */
const REFERENCE = /(?<!\$)(\$+)\{([A-Za-z_][\w-]*(?:\.[\w-]+)+)\}/g;

/** What all texts of one value may come to: outputs can be large, and be referred to many times. */
const MAX_RESOLVED_LENGTH = 4 * 1024 * 1024;

/** Some references have no value; the message names them all. */
export class UnresolvedReferences extends Error {
  override readonly name = 'UnresolvedReferences';
  readonly missing: readonly TextReference[];

  constructor(missing: readonly TextReference[], scope: Scope) {
    const distinct = [...new Map(missing.map((reference) => [reference.text, reference])).values()];
    const reasons = distinct.map(({ text, path }) => {
      const why = scope.whyMissing?.(path);
      return why === undefined ? text : `${text} (${why})`;
    });
    super(`${distinct.length === 1 ? 'a reference has' : 'references have'} no value: ${reasons.join(', ')}`);
    this.missing = missing;
  }
}

/** With its references filled in, a value is larger than any step can use. */
export class ResolvedTooLong extends Error {
  override readonly name = 'ResolvedTooLong';

  constructor() {
    const limit = MAX_RESOLVED_LENGTH / 1024 / 1024;
    super(`with its references filled in, the text is longer than ${limit} Mi characters: pass large data in a file`);
  }
}

export function referencesIn(text: string): TextReference[] {
  const found: TextReference[] = [];
  for (const { 1: dollars, 2: name, index } of text.matchAll(REFERENCE)) {
    if (dollars!.length % 2 === 0) continue;
    found.push({ path: name!.split('.'), text: `\${${name}}`, offset: index + dollars!.length - 1 });
  }
  return found;
}

/** The references in all texts of a value; keys are no texts. */
export function referencesInValue(value: unknown): { at: ValuePath; reference: TextReference }[] {
  const found: { at: ValuePath; reference: TextReference }[] = [];
  const walk = (node: unknown, at: ValuePath): void => {
    if (typeof node === 'string') found.push(...referencesIn(node).map((reference) => ({ at, reference })));
    else if (Array.isArray(node)) node.forEach((child, index) => walk(child, [...at, index]));
    else if (typeof node === 'object' && node !== null) {
      for (const [key, child] of Object.entries(node)) walk(child, [...at, key]);
    }
  };
  walk(value, []);
  return found;
}

/** The text with each reference replaced by its value, in which nothing is looked for again. */
export function resolveText(text: string, scope: Scope): string {
  return resolveValue(text, scope);
}

/** The value with the references in all its texts replaced. Throws UnresolvedReferences, ResolvedTooLong. */
export function resolveValue<T>(value: T, scope: Scope): T {
  const missing: TextReference[] = [];
  let length = 0;
  const resolve = (text: string): string =>
    text.replace(REFERENCE, (whole: string, dollars: string, name: string, offset: number) => {
      const literal = '$'.repeat(Math.floor(dollars.length / 2));
      if (dollars.length % 2 === 0) return `${literal}{${name}}`;
      const path = name.split('.');
      const found = scope.lookUp(path);
      if (found === undefined) {
        missing.push({ path, text: `\${${name}}`, offset: offset + dollars.length - 1 });
        return whole;
      }
      length += found.length;
      if (length > MAX_RESOLVED_LENGTH) throw new ResolvedTooLong();
      return literal + found;
    });
  const walk = (node: unknown): unknown => {
    if (typeof node === 'string') return resolve(node);
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child)]));
  };
  const resolved = walk(value);
  if (missing.length > 0) throw new UnresolvedReferences(missing, scope);
  return resolved as T;
}
