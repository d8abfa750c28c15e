import type { DataSource } from 'typeorm';
import { KeyRing } from './key-ring.js';
import { hashOf, newKey, prefixOf } from './secret.js';

const KEY = newKey();
const row = (changes: object = {}) => ({
  ...{ id: '1', name: 'ci', prefix: prefixOf(KEY)!, hash: hashOf(KEY), roles: ['viewer', 'retired-role'] },
  ...{ scopes: null as string[] | null, state: 'valid', ...changes },
});

function setup(rows: object[] = [row()]) {
  const reads = jest.fn(async (): Promise<object[]> => rows);
  const uses = jest.fn(async (_id: string): Promise<void> => undefined);
  const query = (sql: string, values: string[] = []) => (sql.startsWith('SELECT') ? reads() : uses(values[0]!));
  return { ring: new KeyRing({ query } as unknown as DataSource), reads, uses, rows };
}

describe('KeyRing', () => {
  let now = 0;
  beforeEach(() => {
    now = 1_000;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
  });
  afterEach(() => jest.restoreAllMocks());

  it('knows a key by all of it, with the roles there are', async () => {
    const { ring } = setup();
    expect(await ring.find(KEY)).toEqual({ principal: { name: 'ci', roles: ['viewer'] } });
    const last = KEY.endsWith('A') ? 'B' : 'A';
    for (const wrong of [`${KEY.slice(0, -1)}${last}`, `${KEY}A`, newKey(), 'something else', prefixOf(KEY)!]) {
      expect(await ring.find(wrong)).toEqual({ refused: 'the key is not known' });
    }
  });

  it('says why a key opens nothing any more, to whoever has it', async () => {
    const { ring, rows } = setup([row({ state: 'expired' })]);
    expect(await ring.find(KEY)).toEqual({ refused: "the key 'ci' has expired" });
    rows[0] = row({ state: 'revoked' });
    now += 2_001;
    expect(await ring.find(KEY)).toEqual({ refused: "the key 'ci' was revoked" });
    expect(await ring.find(prefixOf(KEY)! + 'x')).toEqual({ refused: 'the key is not known' });
  });

  it('asks the database once in two seconds, however many ask it', async () => {
    const { ring, reads } = setup();
    await Promise.all(Array.from({ length: 50 }, () => ring.find(KEY)));
    now += 1_999;
    await ring.find(KEY);
    expect(reads).toHaveBeenCalledTimes(1);
    now += 2;
    await Promise.all(Array.from({ length: 50 }, () => ring.find(KEY)));
    expect(reads).toHaveBeenCalledTimes(2);
  });

  it('asks sooner for a key that may be new, and not for each wrong one', async () => {
    const { ring, reads, rows } = setup([]);
    await ring.find(KEY);
    await ring.find(newKey());
    rows.push(row());
    now += 251;
    await Promise.all(Array.from({ length: 50 }, () => ring.find(newKey())));
    expect(reads).toHaveBeenCalledTimes(2);
    expect(await ring.find(KEY)).toHaveProperty('principal');
    now += 251;
    await ring.find('of another form');
    expect(reads).toHaveBeenCalledTimes(2);
  });

  it('does not take a copy that was begun before a change', async () => {
    const { ring, reads, rows } = setup();
    let release!: (rows: object[]) => void;
    reads.mockImplementationOnce(() => new Promise((resolve) => (release = resolve)));
    const asked = ring.find(KEY);
    const before = [...rows];
    rows[0] = row({ state: 'revoked' });
    ring.forget();
    release(before);
    expect(await asked).toEqual({ refused: "the key 'ci' was revoked" });
    expect(reads).toHaveBeenCalledTimes(2);
  });

  it('lets nobody in by an old copy where the database is away, and asks again', async () => {
    const { ring, reads } = setup();
    await ring.find(KEY);
    now += 2_001;
    reads.mockRejectedValueOnce(new Error('away'));
    await expect(ring.find(KEY)).rejects.toThrow('away');
    expect(await ring.find(KEY)).toHaveProperty('principal');
  });

  it('notes the last use once a minute, and again where that failed', async () => {
    const { ring, uses } = setup();
    uses.mockRejectedValueOnce(new Error('away'));
    await ring.find(KEY);
    await Promise.resolve();
    await ring.find(KEY);
    await ring.find(KEY);
    expect(uses.mock.calls).toEqual([['1'], ['1']]);
    now += 60_000;
    await ring.find(KEY);
    expect(uses).toHaveBeenCalledTimes(3);
  });
});
