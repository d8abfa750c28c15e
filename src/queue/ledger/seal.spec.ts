import { createHash } from 'node:crypto';
import { GENESIS, sealHash, type Seal } from './seal.js';

const seal: Omit<Seal, 'hash'> = {
  ...{ block: '1', to_xid: '812', to_id: '4711', rows: 3, total: '3', prev_hash: GENESIS },
  sealed_at: '2026-01-31T13:00:00.123456Z',
  parts: [
    { week: '2026-01-19', rows: 1, hash: 'aa' },
    { week: '2026-01-26', rows: 2, hash: 'bb' },
  ],
};

describe('the hash of a seal', () => {
  it('is that of the lines in docs/audit.md', () => {
    const lines = [
      'turnpike-ledger-1',
      '1',
      GENESIS,
      seal.sealed_at,
      '812 4711',
      '3 3',
      '2026-01-19 1 aa',
      '2026-01-26 2 bb',
    ];
    const expected = createHash('sha256')
      .update(`${lines.join('\n')}\n`)
      .digest('hex');
    expect(sealHash(seal)).toBe(expected);
  });

  it.each<Partial<Seal>>([
    { block: '2' },
    { to_xid: '813' },
    { to_id: '4712' },
    { rows: 4 },
    { total: '4' },
    { prev_hash: 'f'.repeat(64) },
    { sealed_at: '2026-01-31T13:00:00.123457Z' },
    { parts: [] },
  ])('is another one with %j', (change) => {
    expect(sealHash({ ...seal, ...change })).not.toBe(sealHash(seal));
  });
});
