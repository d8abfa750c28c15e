import fc from 'fast-check';
import { Problem } from '../problem/problem.js';
import { LIMITS } from './limits.js';
import { parseDocument } from './parse-document.js';

/** `line:column message` of each error. */
function mistakesIn(text: string): string[] {
  try {
    parseDocument(text, 'json');
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'malformed_json') throw error;
    return error.errors.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
  return [];
}

test.each([
  [
    '{"a": 1,\n "a": 2, "b": {"c": 1, "c": 2}}',
    '2:2 The key "a" stands twice in the same object',
    '2:24 The key "c" stands twice',
  ],
  ['{"a": 1,}', "1:9 There is a ',' before the closing '}'"],
  ['[1, ]', "1:5 A value is missing before ']'"],
  ['[,]', "1:2 ',' is no JSON value"],
  ['{"a" 1}', '1:6 \':\' after the key "a" is expected here'],
  ['{"a": 1\n "b": 2}', "2:2 ',' or '}' is expected here"],
  ['[1 2]', "1:4 ',' or ']' is expected here"],
  ['{a: 1}', '1:2 A key in double quotes is expected here'],
  ["{'a': 1}", '1:2 A key in double quotes is expected here'],
  ["['a']", '1:2 Single quotes are not JSON'],
  ['// c\n{}', '1:1 JSON has no comments'],
  ['{"a": "x\n"}', '1:7 This text has no closing quote'],
  ['{"a": "x', '1:7 This text has no closing quote'],
  ['["a\tb"]', '1:4 A control character stands in a text'],
  ['["\\x"]', "1:3 '\\x' is no escape in JSON"],
  ['["\\u12"]', "1:3 '\\u' is no escape in JSON"],
  ['[01]', "1:2 '01' is no JSON value"],
  ['[1.2.3]', "1:2 '1.2.3' is no JSON value"],
  ['[+1]', "1:2 '+1' is no JSON value"],
  ['[NaN]', "1:2 'NaN' is no JSON value"],
  ['[nullx]', "1:2 'nullx' is no JSON value"],
  ['[True]', "1:2 'True' is no JSON value"],
  ['{"a": [1,', '1:10 The document ends where a value is expected'],
  ['{"a": [1', '1:7 This list is not closed'],
  ['{"a": 1', '1:1 This object is not closed'],
  ['{"a": 1} {}', '1:10 There is more text after the end of the JSON document'],
  ['apiVersion: score.dev/v1b1', "1:1 'apiVersion' is no JSON value"],
  [' \n ', '2:2 The document is empty'],
  [
    '{"__proto__": 1, "a": {"constructor": 1}}',
    "1:2 The key '__proto__' is not allowed",
    "1:24 The key 'constructor' is not allowed",
  ],
  ['["\\u0000"]', '1:2 The text contains the character NUL'],
  ['["\\ud83d"]', '1:2 The text contains half of a surrogate pair'],
  ['[12345678901234567890]', '1:2 12345678901234567890 is larger than numbers can be exactly'],
  ['[1e400]', '1:2 1e400 is no number that JSON can hold'],
  ['\u00a0{}', "1:1 '\u00a0' is no JSON value"],
])('%j', (text, ...errors) => {
  expect(mistakesIn(text).map((mistake, at) => mistake.slice(0, errors[at]?.length ?? 0))).toEqual(errors);
});

test('depth and number of values are limited', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  expect(mistakesIn(nested(LIMITS.depth))).toEqual([]);
  expect(mistakesIn(nested(LIMITS.depth + 1))[0]).toContain('nested more than 100 deep');
  expect(mistakesIn(`[${'1,'.repeat(LIMITS.nodes - 2)}1]`)).toEqual([]);
  expect(mistakesIn(`[${'1,'.repeat(LIMITS.nodes - 1)}1]`)[0]).toContain('more than 100000 values');
});

function verdictOf(text: string): unknown {
  try {
    // Minus zero becomes zero: jsonb knows no other.
    return { value: JSON.parse(text, (_, value: unknown) => (value === 0 ? 0 : value)) as unknown };
  } catch {
    return 'refused';
  }
}

/** What JSON.parse accepts and a document may not hold: such texts prove nothing here. */
const EXCEPTIONS = /twice|not allowed|NUL|surrogate|larger than|can hold|nested|more than/;

function agreesWithJsonParse(text: string): void {
  const expected = verdictOf(text);
  const errors = mistakesIn(text);
  if (expected !== 'refused' && errors.some((error) => EXCEPTIONS.test(error))) return;
  expect(errors.length === 0 ? { value: parseDocument(text, 'json').value } : 'refused').toEqual(expected);
}

test('what JSON.stringify writes comes back', () => {
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), agreesWithJsonParse), { numRuns: 500 });
});

test('damaged JSON gets the verdict of JSON.parse', () => {
  const damaged = fc
    .tuple(
      fc.json({ maxDepth: 3 }),
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom(...'{}[]",:\\ 0-+.eutn\n\u0001'.split(''), ''),
    )
    .map(([text, at, cut, add]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + add + text.slice(place + cut);
    })
    // Such a text cannot arrive: it is no UTF-8.
    .filter((text) => !/\p{Surrogate}/u.test(text));
  fc.assert(fc.property(damaged, agreesWithJsonParse), { numRuns: 3000 });
});
