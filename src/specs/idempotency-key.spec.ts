import { readIdempotencyKey } from './idempotency-key.js';

const read = (key: string | undefined, { method = 'POST', url = '/api/specs', body = 'a: b' } = {}) =>
  readIdempotencyKey({ headers: { 'idempotency-key': key }, method, url }, Buffer.from(body));

describe('readIdempotencyKey', () => {
  it('is none without the header', () => {
    expect(read(undefined)).toBeUndefined();
  });

  it('has the same hash for the same request only', () => {
    const hash = (changes?: object) => read('k', changes)!.bodyHash;
    expect(hash()).toBe(hash());
    const others = [hash({ method: 'PUT' }), hash({ url: '/api/specs?priority=high' }), hash({ body: 'a: c' })];
    expect(new Set([hash(), ...others]).size).toBe(4);
    const empty = readIdempotencyKey({ headers: { 'idempotency-key': 'k' }, method: 'POST', url: '/x' }, undefined);
    expect(empty!.bodyHash).toHaveLength(43);
  });

  it.each(['a', 'k'.repeat(255), '0193a1b2-7c3d', '"quoted text"'])('takes %j', (key) => {
    expect(read(key)!.key).toBe(key);
  });

  it.each(['', 'k'.repeat(256), 'schlüssel', 'a\tb'])('refuses %j', (key) => {
    expect(() => read(key)).toThrow(
      expect.objectContaining({
        code: 'invalid_parameter',
        errors: [expect.objectContaining({ path: 'Idempotency-Key' })],
      }),
    );
  });
});
