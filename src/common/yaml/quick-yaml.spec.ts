import fc from 'fast-check';
import { parseWithPlaces } from './parse-document.js';
import { quickYaml } from './quick-yaml.js';

function slowly(text: string): unknown {
  return parseWithPlaces(text, 'yaml').value;
}

test.each([
  'apiVersion: score.dev/v1b1\nmetadata:\n  name: demo-app\n',
  '---\na: 1\n',
  '# comment\n\na:  # comment\n  b: text with:colons and -dashes # comment\n  c: "quoted # text"\n',
  'list:\n- a\n- b: 1\n  c: 2\n- name: x\n',
  'list:\n  - a\n  # comment\n  - b:\n      c: 2\n',
  'run: |\n  if [ "$A" ]; then\n    echo "# & * ! %"\n  fi\n\n  echo done\nnext: |-\n\n    x\nlast:\n',
  'a: |\nb: 1\n',
  'steps:\n  - name: x\n    config:\n      command: |\n        echo ${a.b}\n  - name: y\n',
  'limits:\n  memory: 128Mi\n  cpu: 250m\n  half: 0.5\n  version: 1.2.3\n  below: -1\n',
  'image: .\nargs: [-c, --port, "a b", 80]\nempty: []\nnone: {}\nflow: {type: staging, n: 1}\n',
  'words: [true, no, null]\nyes: yes\nnull_: null\nquote: it\'s\n/etc/app.conf: "x"\nrocket: a \u{1F680} \u00e9\n',
])('takes %j', (text) => {
  expect(quickYaml(text)).toStrictEqual(slowly(text));
});

test.each([
  ['a second key', 'a: 1\na: 2\n'],
  ['a key that is a word', 'true: 1\n'],
  ['a key of prototypes', 'constructor: 1\n'],
  ['a number as a key', '8080: x\n'],
  ['an anchor', 'a: &x 1\nb: *x\n'],
  ['a tag', 'a: !!str 1\n'],
  ['a folded block', 'a: >\n  x\n'],
  ['a block with an indicator', 'a: |2\n    x\n'],
  ['a block that becomes less deep', 'a: |\n    x\n  y\n'],
  ['a line of spaces in a block', 'a: |\n  x\n   \n  y\n'],
  ['an escape', 'a: "\\n"\n'],
  ['a text over two lines', 'a: b\n  c\n'],
  ['a quoted text over two lines', 'a: "b\n  c"\n'],
  ['a colon too many', 'a: b: c\n'],
  ['a missing space', 'a:b\n'],
  ['a tab', 'a:\tb\n'],
  ['a carriage return', 'a: b\r\n'],
  ['a line separator', 'a: b\u2028c\n'],
  ['a number that is no number of JSON', 'a: 1e999\n'],
  ['a number of many digits', 'a: 9007199254740993\n'],
  ['a second document', 'a: 1\n---\nb: 1\n'],
  ['a directive', '%YAML 1.2\n---\na: 1\n'],
  ['a line that is too deep', 'a: 1\n  b: 2\n'],
  ['a line that belongs nowhere', 'a:\n    b: 1\n  c: 2\n'],
  ['a single value', 'a\n'],
  ['nothing', '# comment\n'],
  ['the mark of a beginning alone', '---\n# comment\n'],
  ['a very long text', 'a: b\n'.repeat(20_000)],
])('leaves %s to the other library', (_, text) => {
  expect(quickYaml(text)).toBeUndefined();
});

const VALUES = [
  ...[
    'a',
    'true',
    'null',
    'Null',
    '80',
    '007',
    '-0',
    '0.5',
    '1e3',
    '1e999',
    '0x1F',
    '128Mi',
    '1a',
    '0b1',
    '1.2.3',
    '1.',
  ],
  ...[
    '.',
    './a',
    '.inf',
    '-c',
    '--port',
    '---',
    'nginx:latest',
    'a:',
    ':a',
    '#',
    'x#y',
    'x #y',
    'a - b',
    '- a',
    "it's",
  ],
  ...['"q"', '"a: b # c"', "'q'", "'it''s'", '"\\n"', '"open', '[a, "b"]', '[a', '[]', '{}', '{a: 1}', '{a: 1, a: 2}'],
  ...[
    '|',
    '|-',
    '|+',
    '>',
    '|2',
    '&x',
    '*x',
    '!t',
    '%',
    '@',
    '?',
    '$X',
    '${a.b}',
    '<<',
    '~',
    '\u00e9',
    '\u{1F680}',
    '',
  ],
];
const KEYS = ['a', 'b', 'c', 'd', 'e', 'x.y', '/a', 'true', '80', '"q"', 'a b', 'constructor'];

/** Lines such as a document is made of, in no order: most texts are wrong somewhere. */
const line = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom('', ' ', '   ', '# c', '  # c', '---', '...', '\t') },
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.constantFrom('', '', '', '', '  ', '  ', '    ', ' '),
        fc.constantFrom('', '', '', '', '- ', '- ', '-', '- - '),
        fc.oneof(
          fc
            .tuple(fc.constantFrom(...KEYS), fc.constantFrom(':', ': ', ': ', ': ', ': ', ':  '))
            .map(([key, colon]) => key + colon),
          fc.constant(''),
        ),
        fc.oneof(fc.constantFrom('', 'a', '|'), fc.constantFrom(...VALUES)),
        fc.constantFrom('', '', '', '', ' ', ' # c', '#c'),
      )
      .map((parts) => parts.join('')),
  },
);

test('what it takes, both libraries read alike', () => {
  let taken = 0;
  const property = fc.property(
    fc.array(line, { minLength: 1, maxLength: 4 }),
    fc.constantFrom('\n', '\n', ''),
    (lines, end) => {
      const text = lines.join('\n') + end;
      const quick = quickYaml(text);
      if (quick === undefined) return;
      taken++;
      expect(quick).toStrictEqual(slowly(text));
    },
  );
  fc.assert(property, { numRuns: 10_000 });
  expect(taken).toBeGreaterThan(150);
});
