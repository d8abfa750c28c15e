import { Pattern, PatternError } from './pattern.js';

describe('a pattern', () => {
  it.each([
    ['^v[0-9]+\\.0$', 'v10.0', true],
    ['^v[0-9]+\\.0$', 'v10.1', false],
    ['b', 'abc', true],
    ['(?i)ABC', 'xabcx', true],
    ['^$', '', true],
    ['a$', 'a\n', false],
  ])('%s in %j: %s', (source, text, found) => {
    expect(new Pattern(source).test(text)).toBe(found);
  });

  it.each([
    ['[a', "'[a' is no regular expression: missing closing ]: `[a`"],
    ['a(?=b)', 'the regular expression uses lookahead and lookbehind, which is not supported'],
    ['(?<!a)b', 'the regular expression uses lookahead and lookbehind, which is not supported'],
    ['(a)\\1', 'the regular expression uses references back to a group, which is not supported'],
    ['a++', 'the regular expression uses atomic groups and possessive repetition, which is not supported'],
    ['[ab]{999}[cd]{999}', 'the regular expression is too large once its repetitions are written out'],
    ['a'.repeat(1_001), 'the regular expression is longer than 1000 characters'],
  ])('is not %s', (source, message) => {
    expect(() => new Pattern(source)).toThrow(new PatternError(message));
  });

  it('searches no text without end', () => {
    expect(() => new Pattern('a').test('a'.repeat(10_001))).toThrow(PatternError);
  });
});
