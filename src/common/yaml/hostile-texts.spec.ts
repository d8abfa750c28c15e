import fc from 'fast-check';
import { Problem } from '../problem/problem.js';
import { type DocumentKind, parseDocument } from './parse-document.js';

/** The size of body that the service accepts by default. */
const SIZE = 512 * 1024;

/** What a text may take on a slow, busy machine. Without the limits the worst of these take half a minute. */
const HANG_MS = 5000;

function fill(pattern: string, before = '', after = ''): string {
  return before + pattern.repeat(Math.floor((SIZE - before.length - after.length) / pattern.length)) + after;
}

function lines(count: number, line: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => line(at)).join('\n');
}

/** Patterns that cost some parser or other more than their length. */
const patterns = [
  ...['[', '{', '- ', '? ', ': ', 'a: ', '[a,', '{a: ', '{[', '{"a":', '[[],', '-\n', '- - a\n', '? a\n: b\n', '? ? ?'],
  ...['&a ', '&a &b ', '*a ', '!a ', '! ', '!', '!!', '&', '*', '@ ', '` ', '%', '%YAML 1.2\n', '%TAG !a! b\n'],
  ...[
    '"',
    "'",
    '"a" ',
    "'a' ",
    '\\',
    '"\\',
    '|\n',
    '>\n',
    '| ',
    '#',
    '#\n',
    '\n',
    ' \n',
    '\t',
    '\t\n',
    '\r',
    '\r\n',
    ' ',
  ],
  ...[
    '---\n',
    '--- a\n',
    '...\n',
    ']',
    '}',
    '}\n',
    ',',
    ', ',
    ':',
    '::',
    '<<: {}\n',
    'a : b\n',
    'a\n',
    'a b ',
    'a',
    '1',
    '0.',
  ],
  ...[
    '    a: b\n  c: d\n',
    'a:\n - b\nc',
    '\u2028',
    '\u0085',
    'é',
    '😀',
    '\x00',
    '\x1b',
    '"a": 1, ',
    '{"a":[',
    'null ',
  ],
];

const texts: [string, string][] = [
  ...patterns.map((pattern): [string, string] => [JSON.stringify(pattern), fill(pattern)]),
  ['an open list of aliases', fill('*a, ', 'a: &a 1\nb: [', ']')],
  ['an alias of itself, again and again', fill('*a, ', 'a: &a [', ']')],
  ['escapes that are none', fill('\\q', 'a: "', '"')],
  ['escapes that are none, in lines', fill('\\q\n  ', 'a: "', '"')],
  ['an endless quote', fill('\\"', 'a: "')],
  ['folded lines', fill('b\n   ', 'a: "', '"')],
  ['empty folded lines', fill('\n', 'a: "x', ' "')],
  ['a folded scalar of many lines', fill('  b\n\n', 'a: >\n')],
  ['a literal of empty lines', fill('\n', 'a: |\n')],
  ['spaces in a value', fill(' ', 'a: b', 'c')],
  ['a long number', fill('1', 'a: ', 'x')],
  ['a long fraction', fill('0', 'a: 0.', '1')],
  ['a long key', fill('a', '', ': b')],
  ['a long key in brackets', fill('a', '[', ']: b')],
  ['one mapping with many keys', lines(50_000, (at) => `k${at}:`)],
  ['one mapping with many equal keys', lines(80_000, () => 'k: 1')],
  ['one mapping with many keys, in brackets', `{${lines(50_000, (at) => `k${at},`)}}`],
  ['many anchors', lines(20_000, (at) => `- &a${at} 1`)],
  ['many anchors and aliases', lines(9_000, (at) => `- &a${at} 1\n- *a${at}`)],
  ['anchors in a chain', lines(9_000, (at) => `a${at}: &a${at} [*a${Math.max(0, at - 1)}]`)],
  ['merges of merges', lines(9_000, (at) => `a${at}: &a${at} {<<: *a${Math.max(0, at - 1)}, k${at}: 1}`)],
  ['deep indentation', lines(1000, (at) => `${' '.repeat(at)}a:`)],
  ['deeper and deeper lists', lines(700, (at) => `${' '.repeat(at)}- `)],
  ['one error a line', lines(40_000, (at) => `k${at}: @a`)],
  ['many errors in a line', fill('@a, ', '[', ']')],
  ['many tags in a list', fill('!a b, ', '[', ']')],
  ['JSON with many duplicate keys', fill('"a":1,', '{', '"a":1}')],
  ['JSON of empty lists', fill('[],', '[', '[]]')],
  ['a JSON text of escapes', fill('\\u0041', '["', '"]')],
  ['a JSON text of escapes without an end', fill('\\u0041', '["')],
];

function outcome(body: Buffer | string, kind: DocumentKind): 'accepted' | 'refused' {
  try {
    const { value } = parseDocument(body, kind);
    // What was accepted can be stored: it is bounded, and it is text that PostgreSQL takes.
    const stored = JSON.stringify(value);
    expect(stored.length).toBeLessThan(16 * 1024 * 1024);
    expect(/\\u0000|\\ud[89a-f]/.test(stored.replaceAll('\\\\', ''))).toBe(false);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    expect(error.status).toBe(400);
    expect(error.errors.length).toBeGreaterThan(0);
    for (const { line, column, message } of error.errors) {
      expect(line).toBeGreaterThan(0);
      expect(column).toBeGreaterThan(0);
      // Whatever the text was, what is said of it stays short.
      expect(message.length).toBeLessThan(300);
    }
    return 'refused';
  }
}

test.each(texts)('half a megabyte: %s', (_, text) => {
  for (const kind of ['yaml', 'json'] as const) {
    const before = performance.now();
    outcome(text, kind);
    expect(performance.now() - before).toBeLessThan(HANG_MS);
  }
});

const kinds = fc.constantFrom<DocumentKind>('yaml', 'json');

/** Words of YAML's grammar in any order. */
const grammar = fc
  .array(
    fc.oneof(
      fc.constantFrom(...patterns),
      fc.constantFrom(
        'a: 1\n',
        '  ',
        '    b: c\n',
        '- x\n',
        '|\n',
        '&x ',
        '*x',
        '{',
        '}',
        '[',
        ']',
        ', ',
        '"',
        "'",
        '\n',
        '<<: ',
      ),
      fc.string({ maxLength: 6 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

test('any bytes are a value or a 400', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), kinds, (bytes, kind) => void outcome(Buffer.from(bytes), kind)),
    { numRuns: 1000 },
  );
});

test('any text is a value or a 400', () => {
  const text = fc.string({ unit: 'binary', maxLength: 400 });
  fc.assert(
    fc.property(text, kinds, (body, kind) => void outcome(body, kind)),
    { numRuns: 1000 },
  );
});

test('any pieces of YAML are a value or a 400', () => {
  fc.assert(
    fc.property(grammar, kinds, (body, kind) => void outcome(body, kind)),
    { numRuns: 3000 },
  );
});

test('any piece of YAML, repeated to half a megabyte, is answered in time', () => {
  const piece = fc.array(fc.constantFrom(...patterns.filter((pattern) => pattern.length < 8)), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(piece, (parts) => {
      const before = performance.now();
      outcome(fill(parts.join('')), 'yaml');
      expect(performance.now() - before).toBeLessThan(HANG_MS);
    }),
    { numRuns: 40 },
  );
}, 240_000);
