import fc from 'fast-check';
import { liesWithin, matchesAny, matchesName, toLike } from './app-patterns.js';

describe('patterns of applications', () => {
  it.each([
    ['shop', 'shop', true],
    ['shop', 'shops', false],
    ['frontend-*', 'frontend-web', true],
    ['frontend-*', 'frontend-', true],
    ['frontend-*', 'my-frontend-web', false],
    ['*', 'anything', true],
    ['a*a', 'a', false],
    ['*-api-*', 'shop-api-2', true],
    ['a.b', 'axb', false],
    ['*', '', true],
    ['*-web', 'frontend-web', true],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
  ])('%p on %p: %p', (pattern, name, fits) => {
    expect(matchesName(pattern, name)).toBe(fits);
  });

  it('take no time to speak of', () => {
    expect(matchesName('a*'.repeat(100) + 'b', 'a'.repeat(255))).toBe(false);
  });

  it('let everything through where there are none, and nothing where the list is empty', () => {
    expect(matchesAny(undefined, 'shop')).toBe(true);
    expect(matchesAny([], 'shop')).toBe(false);
    expect(matchesAny(['a', 's*'], 'shop')).toBe(true);
  });

  it.each([
    [['frontend-*'], 'frontend-web', true],
    [['frontend-*'], 'frontend-*', true],
    [['frontend-*'], 'frontend-web-*', true],
    [['frontend-*'], 'front*', false],
    [['frontend-*'], '*', false],
    [['a', 'b*'], 'b*c', true],
    [[], 'a', false],
    [undefined, '*', true],
  ])('%p hold all that %p holds: %p', (patterns, inner, within) => {
    expect(liesWithin(patterns, inner)).toBe(within);
  });

  it('never hold a pattern one of whose names they do not hold', () => {
    const pattern = fc.array(fc.constantFrom('a', 'b', '-', '*'), { minLength: 1, maxLength: 6 });
    const filling = fc.array(fc.array(fc.constantFrom('a', 'b', '-'), { maxLength: 3 }), {
      minLength: 6,
      maxLength: 6,
    });
    fc.assert(
      fc.property(pattern, pattern, filling, (outer, inner, parts) => {
        if (!liesWithin([outer.join('')], inner.join(''))) return;
        let n = 0;
        const name = inner.map((char) => (char === '*' ? parts[n++]!.join('') : char)).join('');
        expect([outer.join(''), name, matchesName(outer.join(''), name)]).toEqual([outer.join(''), name, true]);
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });

  it('become patterns of LIKE in which nothing else has a meaning', () => {
    expect(toLike(['frontend-*', 'a_b%c\\', 'shop'])).toEqual(['frontend-%', 'a\\_b\\%c\\\\', 'shop']);
  });
});
