import { decodeLedgerCursor, encodeLedgerCursor, isBehind } from './ledger-cursor.js';

describe('a cursor', () => {
  it.each([
    { xid: '812', id: '4711' },
    { xid: '812', id: '4711', told: '4720' },
  ])('comes back as what it was made of: %j', (cursor) => {
    expect(decodeLedgerCursor(encodeLedgerCursor(cursor))).toEqual(cursor);
  });

  it.each(['', '1', '1-', 'a-b', '1-2-', '1-2-3-4', '1-2_3-4_5', `${'9'.repeat(19)}-1`, '1-2 ', '1-2\n'])(
    'is none: %p',
    (text) => {
      expect(decodeLedgerCursor(text)).toBeUndefined();
    },
  );

  it('stands behind another by number, not by letter', () => {
    expect(isBehind({ xid: '10', id: '1' }, { xid: '9', id: '5' })).toBe(true);
    expect(isBehind({ xid: '9', id: '10' }, { xid: '9', id: '9' })).toBe(true);
    expect(isBehind({ xid: '9', id: '9' }, { xid: '9', id: '9' })).toBe(false);
    expect(isBehind({ xid: '8', id: '99' }, { xid: '9', id: '1' })).toBe(false);
  });

  it('stands behind what was told at its place before it', () => {
    const [place, first, second] = [{}, { told: '9' }, { told: '10' }].map((told) => ({ xid: '9', id: '9', ...told }));
    expect(isBehind(place!, first!)).toBe(true);
    expect(isBehind(second!, first!)).toBe(true);
    expect(isBehind(first!, second!)).toBe(false);
    expect(isBehind(first!, place!)).toBe(false);
    expect(isBehind(first!, first!)).toBe(false);
    expect(isBehind({ xid: '9', id: '10', told: '1' }, place!)).toBe(true);
  });
});
