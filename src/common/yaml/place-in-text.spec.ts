import { parseDocument } from './parse-document.js';

/** Where `x` stands, sought by its offset in the value of `a`. */
function place(yaml: string, kind: 'yaml' | 'json' = 'yaml'): string {
  const document = parseDocument(yaml, kind);
  const { a } = document.value as { a: string };
  const { line, column } = document.locate(['a'], 'value', a.indexOf('x'));
  return `${line}:${column}`;
}

test.each([
  ['a plain text', 'a: one x', '1:8'],
  ['a plain text after an emoji', 'a: 🔍 x', '1:6'],
  ['single quotes', "a: 'one x'", '1:9'],
  ['double quotes', 'a: "one x"', '1:9'],
  ['an escape, which moves what follows', 'a: "\\u0031 x"', '1:4'],
  ['a quote written twice', "a: 'it''s x'", '1:4'],
  ['a block', 'a: |\n  one\n   two x\n', '3:8'],
  ['a block with an empty line', 'a: |  # comment\n\n  one\n\n  two x', '5:7'],
  ['a block with CRLF', 'a: |\r\n  one\r\n  two x\r\n', '3:7'],
  ['a block that is stripped', 'a: |-\n    one x\n', '2:9'],
  ['a block with its indentation', 'a: |2\n    one x\n', '2:9'],
  ['a folded block', 'a: >\n  one\n  x\n', '1:4'],
  ['several lines of plain text', 'a: one\n  x\n', '1:4'],
])('%s', (_, yaml, expected) => {
  expect(place(yaml)).toBe(expected);
});

test('JSON', () => {
  expect(place('{"a": "one x"}', 'json')).toBe('1:12');
});
