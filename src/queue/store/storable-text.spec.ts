import fc from 'fast-check';
import { storableText } from './storable-text.js';

describe('storableText', () => {
  it.each([
    ['a\0b', 'a\ufffdb'],
    ['a\ud83d', 'a\ufffd'],
    ['\ude00\ud83d', '\ufffd\ufffd'],
    ['\ufeff😀 \\u0000\n', '\ufeff😀 \\u0000\n'],
  ])('writes %j as %j', (text, stored) => {
    expect(storableText(text)).toBe(stored);
  });

  it('gives what can be stored, as long as it was, and leaves alone what could be', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 0xffff }), (text, unit) => {
        const hostile = text + String.fromCharCode(unit) + text;
        const stored = storableText(hostile);
        expect(stored.isWellFormed() && !stored.includes('\0')).toBe(true);
        expect(stored).toHaveLength(hostile.length);
        if (hostile.isWellFormed() && !hostile.includes('\0')) expect(stored).toBe(hostile);
      }),
    );
  });
});
