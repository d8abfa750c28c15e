import { Problem } from '../problem/problem.js';
import { type DocumentKind, parseDocument } from './parse-document.js';

function valueOf(text: string | Buffer, kind: DocumentKind = 'yaml'): unknown {
  return parseDocument(text, kind).value;
}

function problemOf(text: string | Buffer, kind: DocumentKind = 'yaml'): Problem {
  try {
    parseDocument(text, kind);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('values', () => {
  test('the types of YAML 1.2 and no others', () => {
    const text =
      'text: word\nnumber: 1.5\nyes: yes\ntrue: true\nday: 2024-01-31\ntime: 12:30:45\nnothing:\noctal: 010\nhex: 0x1F\n';
    expect(valueOf(text)).toEqual({
      text: 'word',
      number: 1.5,
      yes: 'yes',
      true: true,
      day: '2024-01-31',
      time: '12:30:45',
      nothing: null,
      octal: 10,
      hex: 31,
    });
  });

  test('keys are texts: numbers and words as they are written', () => {
    expect(valueOf('8080: a\n0x10: b\ntrue: c\n1.10: d\n')).toEqual({
      '8080': 'a',
      '0x10': 'b',
      true: 'c',
      '1.10': 'd',
    });
  });

  test('aliases and merge keys', () => {
    const text =
      'base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nx: {<<: *base, b: 9}\ny: {<<: [*base, *more]}\nz: *base\n';
    const value = valueOf(text) as Record<string, unknown>;
    expect(value.x).toEqual({ a: 1, b: 9 });
    expect(value.y).toEqual({ a: 1, b: 2, c: 4 });
    expect(value.z).toEqual({ a: 1, b: 2 });
    expect(valueOf('"<<": 1')).toEqual({ '<<': 1 });
  });

  test('an anchor may be named again; the last one above counts', () => {
    expect(valueOf('a: &x 1\nb: &x 2\nc: *x\n')).toEqual({ a: 1, b: 2, c: 2 });
  });

  test('names of methods are ordinary keys of their own', () => {
    const value = valueOf('toString: 1\nhasOwnProperty: 2\nvalueOf: 3') as object;
    expect(Object.entries(value)).toEqual([
      ['toString', 1],
      ['hasOwnProperty', 2],
      ['valueOf', 3],
    ]);
  });

  test('a byte order mark, CRLF and markers of one document are accepted', () => {
    expect(valueOf(Buffer.from('\uFEFF%YAML 1.2\r\n---\r\na: 1\r\nb: |\r\n  x\r\n  y\r\n...\r\n'))).toEqual({
      a: 1,
      b: 'x\ny\n',
    });
    expect(valueOf(Buffer.from('\uFEFF{"a": 1}'), 'json')).toEqual({ a: 1 });
  });

  test('brackets over several lines, closed in the column of their key', () => {
    expect(valueOf('web:\n  command: [\n    "a",\n    b\n  ]\n  env: {\n    x: 1\n  }\n')).toEqual({
      web: { command: ['a', 'b'], env: { x: 1 } },
    });
  });

  test('characters of every kind survive', () => {
    const text = 'é漢😀\u2028\ufffd';
    expect(valueOf(`a: "${text}\\t\\e"`)).toEqual({ a: `${text}\t\x1b` });
    expect(valueOf(`{"a": "${text}\\t\\u001b"}`, 'json')).toEqual({ a: `${text}\t\x1b` });
  });

  test('minus zero is zero: jsonb knows no other', () => {
    expect(Object.is((valueOf('a: -0') as { a: number }).a, 0)).toBe(true);
    expect(Object.is((valueOf('[-0]', 'json') as number[])[0], 0)).toBe(true);
  });
});

describe('places', () => {
  const yaml = [
    'metadata:', // 1
    '  name: x', // 2
    'containers:', // 3
    '  web: &web', // 4
    '    image:   nginx', // 5
    '    command: [a, "😀", b]', // 6
    '    empty:', // 7
    '  db: {<<: *web, ports: [1.10]}', // 8
    '  other: *web', // 9
  ].join('\n');
  const document = parseDocument(yaml, 'yaml');

  test.each([
    [['metadata', 'name'], 'value', 2, 9],
    [['metadata', 'name'], 'key', 2, 3],
    [['containers'], 'value', 3, 1],
    [['containers', 'web'], 'value', 4, 3],
    [['containers', 'web', 'image'], 'value', 5, 14],
    [['containers', 'web', 'command', 0], 'value', 6, 15],
    [['containers', 'web', 'command', 2], 'value', 6, 23],
    [['containers', 'web', 'empty'], 'key', 7, 5],
    [['containers', 'web', 'missing', 'deep'], 'value', 4, 3],
    [['containers', 'db', 'ports', 0], 'value', 8, 26],
    [['containers', 'db', 'image'], 'value', 5, 14],
    [['containers', 'other', 'image'], 'key', 5, 5],
    [['containers', 'toString'], 'value', 3, 1],
    [['nothing'], 'value', 1, 1],
    [[], 'value', 1, 1],
  ] as const)('%j (%s) is at %i:%i', (path, part, line, column) => {
    expect(document.locate(path, part)).toEqual({ line, column });
  });

  test('the text of a number as it was written', () => {
    expect(document.sourceOf(['containers', 'db', 'ports', 0])).toBe('1.10');
    expect(document.sourceOf(['containers', 'none'])).toBeUndefined();
    expect(document.sourceOf(['metadata'])).toBeUndefined();
  });

  test('in JSON too', () => {
    const json = parseDocument('{\n  "a": {"b": [10, {"c":  1.10}]},\n  "d": null}', 'json');
    expect(json.locate(['a', 'b', 1, 'c'])).toEqual({ line: 2, column: 26 });
    expect(json.locate(['a', 'b', 1, 'c'], 'key')).toEqual({ line: 2, column: 20 });
    expect(json.locate(['a', 'b'])).toEqual({ line: 2, column: 9 });
    expect(json.locate(['d', 'x'])).toEqual({ line: 3, column: 3 });
    expect(json.sourceOf(['a', 'b', 1, 'c'])).toBe('1.10');
  });
});

describe('encodings', () => {
  test.each([
    ['UTF-16, little-endian', Buffer.from('\uFEFFa: 1', 'utf16le'), /UTF-16/, 1, 1],
    ['UTF-16, big-endian', Buffer.from('\uFEFFa: 1', 'utf16le').swap16(), /UTF-16/, 1, 1],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), /UTF-32/, 1, 1],
    ['Latin-1', Buffer.from('a: 1\nb: \ufffd café', 'utf8').subarray(0, -1), /not UTF-8/, 2, 9],
    ['a surrogate in UTF-8', Buffer.from([0x61, 0x0a, 0x62, 0xed, 0xa0, 0x80]), /not UTF-8/, 2, 2],
  ] as const)('%s is a 400 with a hint', (_, body, message, line, column) => {
    for (const kind of ['yaml', 'json'] as const) {
      const problem = problemOf(body, kind);
      expect([problem.code, problem.status]).toEqual(['invalid_encoding', 400]);
      expect(problem.errors).toEqual([
        { line, column, message: expect.stringMatching(message), hint: expect.stringContaining('UTF-8') },
      ]);
    }
  });

  test('half of a surrogate pair in a string is no text', () => {
    expect(problemOf('a: \ud800').code).toBe('invalid_encoding');
  });

  test('UTF-16 without a mark is recognised by its NULs', () => {
    const problem = problemOf(Buffer.from('a: 1', 'utf16le'));
    expect(problem.errors[0]).toMatchObject({ line: 1, column: 2, message: expect.stringContaining('NUL') });
    expect(problem.errors[0]?.hint).toContain('UTF-16');
  });
});
