import { differences } from './differences.js';

describe('differences', () => {
  it('are told by place, with the values before and after', () => {
    expect(differences({ a: 1, b: { c: [1, 2] }, d: true }, { a: 2, b: { c: [1] }, e: null })).toEqual([
      { path: 'a', from: 1, to: 2 },
      { path: 'b.c.1', from: 2 },
      { path: 'd', from: true },
      { path: 'e', to: null },
    ]);
  });

  it('are cut to a length that a reader can take in, never in the middle of a character', () => {
    const [change] = differences({ a: '' }, { a: `${'x'.repeat(498)}😀 and more` });
    expect(change!.to).toBe(`"${'x'.repeat(498)}…`);
    expect((change!.to as string).isWellFormed()).toBe(true);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`k${n}`, n]));
    expect(differences({}, many)).toHaveLength(50);
  });
});
