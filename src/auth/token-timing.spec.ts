import * as crypto from 'node:crypto';
import { Settings } from '../config/settings.js';
import type { KeyRing } from './keys/key-ring.js';
import type { LoginFailures } from './login-failures.js';

const compared: [Uint8Array, Uint8Array][] = [];
// @types/jest does not know it; for modules of ECMAScript there is no other way.
const { unstable_mockModule: mockModule } = jest as unknown as {
  unstable_mockModule: (name: string, make: () => object) => void;
};
mockModule('node:crypto', () => ({
  ...crypto,
  timingSafeEqual: (a: Uint8Array, b: Uint8Array) => {
    compared.push([a, b]);
    return crypto.timingSafeEqual(a, b);
  },
}));
const { Authenticator } = await import('./authenticator.js');
const { hashOf } = await import('./keys/secret.js');

describe('the admin token', () => {
  const TOKEN = 'the-right-token-0123456789';
  const keys = { find: async () => ({ refused: 'the key is not known' }) } as unknown as KeyRing;
  const failures = { note: () => 0 } as unknown as LoginFailures;
  const ask = (token: string) =>
    new Authenticator(TOKEN, keys, failures, new Settings()).authenticate(`Bearer ${token}`, '10.0.0.1');

  it('is compared by its hash in constant time, however long the guess is', async () => {
    for (const guess of ['t', TOKEN.slice(0, -1), `${TOKEN.slice(0, -1)}8`, `${TOKEN}x`, 'x'.repeat(10_000)]) {
      compared.length = 0;
      await expect(ask(guess)).rejects.toMatchObject({ code: 'unauthorized' });
      // Nothing is decided before, and the lengths tell nothing.
      expect(compared).toEqual([[hashOf(guess), hashOf(TOKEN)]]);
    }
    compared.length = 0;
    await ask(TOKEN);
    expect(compared).toHaveLength(1);
  });
});
