import { shorten } from './document-path.js';

/** A value of the document in a sentence: `the number 8080`, `the text 'abc'`, `a list`, `empty`. */
export function describeValue(value: unknown, source?: string): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (value === '') return 'an empty text';
  if (typeof value === 'string') return `the text '${shorten(value, 40)}'`;
  if (typeof value === 'number') return `the number ${shorten(source ?? String(value), 40)}`;
  return value === true ? 'the word true' : 'the word false';
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

export function describeType(type: string | readonly string[]): string {
  const names = typeof type === 'string' ? [type] : type;
  return names.map((name) => TYPE_WORDS[name] ?? name).join(' or ');
}

/** What to do about a value of the wrong type. `key` is its name, for examples. */
export function typeHint(
  expected: string | readonly string[],
  value: unknown,
  key: string,
  source?: string,
): string | undefined {
  const type = typeof expected === 'string' ? expected : expected[0];
  if (value === null || value === undefined) {
    if (type === 'object' || type === 'array') {
      return `Nothing belongs to '${key}': indent the lines that do deeper than it, or remove it.`;
    }
    return type === 'string' ? 'Write "" for an empty text, or remove the key.' : 'Give it a value, or remove the key.';
  }
  if (type === 'string') return stringHint(value, source);
  if (type === 'object') return mappingHint(value, key);
  if (type === 'array' && typeof value === 'string')
    return `Write a list: ${key}: [${JSON.stringify(shorten(value, 40))}]`;
  if (type === 'boolean') return 'Write true or false, without quotes.';
  if ((type === 'integer' || type === 'number') && typeof value === 'string' && /^\d+$/.test(value)) {
    return `Remove the quotes: ${shorten(value, 40)}`;
  }
  return undefined;
}

function stringHint(value: unknown, source: string | undefined): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') {
    return `Put it in quotes: ${JSON.stringify(shorten(source ?? String(value), 40))}`;
  }
  if (Array.isArray(value)) return 'Write one text instead of a list.';
  return "If a text with ': ' is meant, put it in quotes.";
}

function mappingHint(value: unknown, key: string): string | undefined {
  if (Array.isArray(value)) return "Write names followed by ':' instead of items that begin with '-'.";
  if (typeof value === 'string' && /^[\w.-]+:\S/.test(value)) return "A space is missing after the ':'.";
  return `Write its entries in the lines below '${key}:', indented deeper.`;
}
