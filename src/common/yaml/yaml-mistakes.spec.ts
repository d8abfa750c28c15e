import { Problem } from '../problem/problem.js';
import { LIMITS } from './limits.js';
import { parseDocument } from './parse-document.js';

/** `line:column message | hint` of each error. */
function mistakesIn(text: string): string[] {
  try {
    parseDocument(text, 'yaml');
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'malformed_yaml') throw error;
    return error.errors.map(
      ({ line, column, message, hint }) => `${line}:${column} ${message}${hint === undefined ? '' : ` | ${hint}`}`,
    );
  }
  return [];
}

const mistakes: [name: string, text: string, ...errors: string[]][] = [
  [
    'a tab as indentation',
    'web:\n\timage: x',
    '2:1 This line is indented with a tab | YAML does not allow tabs for indentation: use spaces.',
  ],
  ['a tab after spaces', 'web:\n  a: 1\n  \tb: 2', '3:3 This line is indented with a tab'],
  ['a missing colon before a mapping', 'containers\n  web:\n    image: x', "1:1 A colon is missing after 'containers'"],
  ['a missing colon between keys', 'a: 1\nb\nc: 3', "2:1 A colon is missing after 'b'"],
  ['a missing colon inside', 'm:\n  name: x\n  containers\n    web: 1', "3:3 A colon is missing after 'containers'"],
  [
    'no space after the colon',
    'web:\n  image:nginx\n  tag: x',
    '2:3 A space is missing after the colon of \'image\' | Write "image: nginx".',
  ],
  ['no space after the dash', '- a\n -b: c', "2:2 A space is missing after '-'"],
  [
    'indented too far',
    'image: nginx\n\n  # why\n  tag: x',
    '4:3 This line is indented too far: the line above has a value already',
  ],
  [
    'indented too little',
    'a:\n    b: 1\n  c: 2',
    '3:3 This line does not begin in the column of the lines it belongs to',
  ],
  [
    'a key among items',
    'steps:\n- name: x\n type: y',
    "3:2 This line stands among the items of a list but does not begin with '- '",
  ],
  ['two colons in a line', 'message: Error: bad', "1:10 A second ': ' in one line: a value cannot be a mapping here"],
  ['an open double quote', 'name: "x\ncontainers:\n  web: 1', '1:7 This text has no closing quote'],
  ['an open single quote', "a: 1\nb: 'x\nc: d", '2:4 This text has no closing quote'],
  ['an open bracket', 'a: [1,\n2\nb: 3', "1:4 This '[' is not closed | Close it with ']'"],
  ['an open bracket at the end', 'a: {b: 1', "1:4 This '{' is not closed | Close it with '}'"],
  ['a quote inside quotes', "a: 'don't'", '1:9 The text goes on after its closing quote'],
  ['a closing bracket too many', 'a: [x]]', "1:7 ']' is not expected here"],
  ['a bad escape', 'a: "C:\\dir"', "1:7 '\\d' is no escape in double quotes | Write \\\\ for a backslash"],
  [
    'a reserved character',
    'a: @b\nc: `d',
    "1:4 A value cannot begin with '@' | Put the value in quotes.",
    "2:4 A value cannot begin with '`'",
  ],
  ['a template', 'a: {{ .b }}', "1:5 '{{' begins a mapping inside a mapping in YAML | If a template is meant"],
  [
    'several documents',
    'a: 1\n---\nb: 2',
    "2:1 A second document begins here | Send one document only: remove the '---', or split the file.",
  ],
  ['a document and nothing', 'a: 1\n---\n', '2:1 A second document begins here'],
  ['a directive', '%TAG ! x:\n---\na: 1', '1:1 This directive is not supported'],
  ['an old version', '%YAML 1.1\n---\na: yes', '1:1 This directive is not supported'],
  ['an unknown tag', 'a: !foo x', "1:4 This tag is not supported | Remove the word that begins with '!'"],
  ['a tag of a language', 'a: !!js/function x', '1:4 This tag is not supported'],
  ['binary', 'a: !!binary aGk=', '1:4 This tag is not supported'],
  ['a list in the line of its key', 'a: - b', '1:4 A list cannot begin in the line of its key'],
  ['a text beside a block header', 'a: | b\n  c', "1:6 Only an indentation or a comment may follow '|' or '>'"],
  ['a duplicate key', 'a: 1\nb: 2\na: 3', "3:1 The key 'a' stands twice in the same mapping | Keep one of the two."],
  ['a duplicate number', '1: a\n"1": b', "2:1 The key '1' stands twice"],
  ['every duplicate', '{a: 1, a: 2}\n', "1:8 The key 'a' stands twice"],
  ['a list as a key', '? [a]\n: b', '1:3 A key must be a text, not a mapping or a list'],
  ['null as a key', 'a: 1\n~: 2', '2:1 A key is missing or null'],
  ['no key', 'a: 1\n: 2', '2:1 A key is missing or null'],
  ['an alias as a key', 'a: &x b\n*x : c', '2:1 A key must be a text, not an alias'],
  [
    'a key of prototypes',
    '__proto__: {a: 1}\nb: {constructor: 1, prototype: 2}',
    "1:1 The key '__proto__' is not allowed",
    "2:5 The key 'constructor' is not allowed",
    "2:21 The key 'prototype' is not allowed",
  ],
  ['an unknown alias', 'a: *b', "1:4 The alias '*b' names no anchor above it"],
  ['an endless alias', 'a: &b [1, *b]', "1:11 The alias '*b' stands inside the value that it names"],
  ['an endless merge', 'a: &b\n  <<: *b', "2:7 The alias '*b' stands inside the value that it names"],
  ['a merge of no mapping', '<<: 1', "1:1 The merge key '<<' takes a mapping or a list of mappings"],
  [
    'infinity',
    'a: .inf\nb: .NaN',
    '1:4 .inf is no number that JSON can hold | Put it in quotes if a text is meant: ".inf"',
    '2:4 .NaN is no number',
  ],
  ['a number too large', 'a: 1e999', '1:4 1e999 is no number that JSON can hold'],
  [
    'a whole number too large',
    'id: 9007199254740993',
    '1:5 9007199254740993 is larger than numbers can be exactly (2^53 - 1) | Put it in quotes if all digits matter: "9007199254740993"',
  ],
  [
    'a control character',
    'a: b\nc: \x1b[0m',
    '2:4 The document contains the control character 0x1b | Remove it, or write it as "\\x1b"',
  ],
  ['NUL', 'a: b\0', '1:5 The document contains the character NUL'],
  ['NUL as an escape', 'a: "\\0"', '1:4 The text contains the character NUL'],
  ['NUL in a key', '"a\\0": 1', '1:1 The text contains the character NUL'],
  ['half a surrogate pair', 'a: "\\ud83d"', '1:4 The text contains half of a surrogate pair'],
  ['old line ends', 'a: 1\rb: 2', '1:5 A carriage return without a line feed'],
  ['nothing', '', '1:1 The document is empty'],
  ['only comments', '# nothing\n\n---\n# here\n', '1:1 The document is empty'],
  ['columns behind an emoji', '"😀": @x', "1:6 A value cannot begin with '@'"],
  ['all mistakes at once', 'a: "\\q"\nb: 1\nc: @x\nd: [1\ne: 2', '1:5', '3:4', '4:4'],
];

test.each(mistakes)('%s', (_, text, ...errors) => {
  const found = mistakesIn(text);
  expect(found.map((mistake, at) => mistake.slice(0, errors[at]?.length ?? 0))).toEqual(errors);
});

test('the detail repeats the first error with its place', () => {
  expect(() => parseDocument('a: 1\nb: @x\nc: @y', 'yaml')).toThrow(
    "Line 2, column 4: A value cannot begin with '@' (and 1 more).",
  );
});

test('a list of errors ends at the limit', () => {
  const many = Array.from({ length: 500 }, (_, at) => `k${at}: @b`).join('\n');
  expect(mistakesIn(many)).toHaveLength(LIMITS.problems);
});

describe('limits', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

  test('depth, counted through aliases', () => {
    expect(mistakesIn(nested(LIMITS.depth))).toEqual([]);
    expect(mistakesIn(nested(LIMITS.depth + 1))[0]).toContain('nested more than 100 deep');
    const half = LIMITS.depth / 2;
    expect(mistakesIn(`a: &a ${nested(half)}\nb: ${'['.repeat(half - 1)}*a${']'.repeat(half - 1)}`)).toEqual([]);
    expect(mistakesIn(`a: &a ${nested(half)}\nb: ${'['.repeat(half)}*a${']'.repeat(half)}`)[0]).toMatch(
      /^2:\d+ .*100 deep/,
    );
  });

  test.each(['[', '{', '- ', '? ', '{a: ', '[a, '])(
    'depth without end: %j is refused where it goes too deep, not at its end',
    (open) => {
      const [first = ''] = mistakesIn(open.repeat(500_000 / open.length));
      expect(first).toContain('nested more than 100 deep');
      expect(Number(/^1:(\d+)/.exec(first)?.[1])).toBeLessThan(500);
    },
  );

  test('a bomb of aliases', () => {
    const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 9; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(',')}]`,
      );
    expect(mistakesIn(lines.slice(0, 4).join('\n'))).toEqual([]);
    expect(mistakesIn(lines.join('\n'))[0]).toMatch(/^5:\d+ The document has more than 100000 values/);
  });

  test('one large text, repeated', () => {
    const text = `a: &a ${'x'.repeat(100_000)}\nb: [${Array(50).fill('*a').join(', ')}]`;
    expect(mistakesIn(text)[0]).toMatch(/^2:\d+ The document has more than 4194304 characters/);
  });

  test('a bomb of merge keys', () => {
    const keys = Array.from({ length: 1000 }, (_, at) => `k${at}: 1`).join(', ');
    const text = `a: &a {${keys}}\nb: [${Array(99).fill('{<<: *a}').join(', ')}]`;
    expect(mistakesIn(text)[0]).toContain('more than 100000 values');
  });

  test('aliases', () => {
    expect(mistakesIn(`a: &a 1\nb: [${'*a, '.repeat(LIMITS.aliases)}]`)).toEqual([]);
    expect(mistakesIn(`a: &a 1\nb: [${'*a, '.repeat(LIMITS.aliases + 1)}]`)[0]).toContain('more than 10000 aliases');
  });
});
