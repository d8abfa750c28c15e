import fc from 'fast-check';
import { JsonParser } from './json-parser.js';
import { LIMITS } from './limits.js';
import { quickJson } from './quick-json.js';

test.each([
  ['{"a": 1, "b": [true, null, -1.5e3], "c": {"a": "x"}}'],
  ['{"a" : {}, "b"\n:\t[]}'],
  ['{"image": "nginx:latest", "line": "one\\ntwo", "pair": "\u{1F680}"}'],
  ['"text"'],
  ['null'],
])('takes %j', (text) => {
  expect(quickJson(text)).toEqual(JSON.parse(text));
});

test.each([
  ['a key twice', '{"a": 1, "a": 2}'],
  ['a key twice, once with an escape', '{"a": 1, "\\u0061" : 2}'],
  ['a key twice, further in', '[{"b": {"a": 1, "c": 2, "a": 3}}]'],
  ['a key of prototypes', '{"__proto__": 1}'],
  ['the same in escapes', '{"\\u005f_proto__": 1}'],
  ['NUL', '["\\u0000"]'],
  ['half a pair', '["\\uD800"]'],
  ['a number that is too large', '[1e999]'],
  ['a number that is not exact', '[9007199254740993]'],
  ['a negative zero', '[-0]'],
  ['too deep nesting', '['.repeat(LIMITS.depth + 1) + ']'.repeat(LIMITS.depth + 1)],
  ['too many values', `[${'1,'.repeat(LIMITS.nodes)}1]`],
  ['what is not JSON', '{a: 1}'],
  ['nothing', ''],
])('leaves %s to the parser', (_, text) => {
  expect(quickJson(text)).toBeUndefined();
});

/** JSON as it may come: few keys, so that they meet again, odd texts and numbers, all kinds of spaces. */
const { value: jsonText } = fc.letrec<{ value: string }>((tie) => {
  const space = fc.constantFrom('', '', '', ' ', '\n', '\t');
  const key = fc.constantFrom('"a"', '"b"', '"\\u0061"', '"c:"', '"\\"', '"__proto__"', '":"', '"d"', '"e"', '"f"');
  const scalar = fc.constantFrom(
    '1',
    '-0',
    '0.5',
    '1e400',
    '9007199254740993',
    'true',
    '"x"',
    '":"',
    '"\\":"',
    '"\\u00e9"',
  );
  const entry = fc.tuple(key, space, space, tie('value')).map(([k, s, t, v]) => `${k}${s}:${t}${v}`);
  return {
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      scalar,
      fc.array(entry, { maxLength: 4 }).map((entries) => `{${entries.join(',')}}`),
      fc.tuple(fc.array(tie('value'), { maxLength: 3 }), space).map(([items, s]) => `[${items.join(`,${s}`)}${s}]`),
    ),
  };
});

test('what it takes, the parser with places reads alike', () => {
  let taken = 0;
  const property = fc.property(jsonText, (text) => {
    const quick = quickJson(text);
    if (quick === undefined) return;
    taken++;
    expect(quick).toStrictEqual(new JsonParser(text).parse());
  });
  fc.assert(property, { numRuns: 3_000 });
  expect(taken).toBeGreaterThan(300);
});
