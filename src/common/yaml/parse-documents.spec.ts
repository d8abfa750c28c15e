import { Problem } from '../problem/problem.js';
import { parseDocuments } from './parse-documents.js';

const values = (text: string) => parseDocuments(text).map(({ value }) => value);

test.each<[string, string, unknown[]]>([
  ['one', 'a: 1', [{ a: 1 }]],
  ['one that is marked', '---\na: 1\n', [{ a: 1 }]],
  ['several', 'a: 1\n---\nb: 2\n--- # three\nc: 3\n', [{ a: 1 }, { b: 2 }, { c: 3 }]],
  ['one in the line of its mark', '--- {a: 1}\n--- {b: 2}', [{ a: 1 }, { b: 2 }]],
  ['comments and marks alone', '# first\n---\na: 1\n...\n---\n# nothing\n---\n\n', [{ a: 1 }]],
  ['a directive', '%YAML 1.2\n---\na: 1\n', [{ a: 1 }]],
  ['CRLF', '---\r\na: 1\r\n---\r\nb: 2\r\n', [{ a: 1 }, { b: 2 }]],
  ['marks inside a text', 'a: |\n  ---\n  b: 2\n', [{ a: '---\nb: 2\n' }]],
])('%s', (_, text, expected) => {
  expect(values(text)).toEqual(expected);
});

test('places are those of the file', () => {
  const [, second] = parseDocuments('# first\na: 1\n---\nb:\n  - x: 5\n');
  expect(second!.locate(['b', 0, 'x'])).toEqual({ line: 5, column: 8 });
});

test('the errors of all documents at once', () => {
  try {
    parseDocuments('a: [\n---\nb: 2\n---\n\tc: 3\n');
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect((error as Problem).errors.map(({ line }) => line)).toEqual([1, 5]);
    return;
  }
  throw new Error('was accepted');
});

test('no document at all', () => {
  expect(() => parseDocuments('# nothing\n')).toThrow(/empty/);
  expect(() => parseDocuments(Buffer.from([0xff, 0xfe, 0x41, 0x00]))).toThrow(/UTF-16/);
});

test('more documents than anybody writes', () => {
  expect(() => parseDocuments('---\na: 1\n'.repeat(101))).toThrow(/^Line 201, column 1: There are more than 100/);
  expect(values('---\na: 1\n'.repeat(100))).toHaveLength(100);
});
