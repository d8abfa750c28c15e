import { Settings } from '../config/settings.js';
import { ADMIN, Authenticator } from './authenticator.js';
import type { Found, KeyRing } from './keys/key-ring.js';
import type { LoginFailures } from './login-failures.js';
import type { Principal } from './principal.js';

const KEY = `tpk_AbCd1234${'x'.repeat(35)}`;
const ANN = { name: 'ann', roles: ['viewer' as const] };

function setup({ wait = 0 } = {}) {
  const find = jest.fn(async (key: string): Promise<Found> =>
    key === KEY ? { principal: ANN } : { refused: 'the key is not known' },
  );
  const note = jest.fn((_failure: object) => wait);
  const keys = { find } as unknown as KeyRing;
  const authenticator = new Authenticator(
    'the-right-token',
    keys,
    { note } as unknown as LoginFailures,
    new Settings(),
  );
  return { authenticator, ask: (header?: string) => authenticator.authenticate(header, '10.0.0.1'), find, note };
}

describe('Authenticator', () => {
  it('knows the admin token without asking for keys, whatever the case of the scheme', async () => {
    const { ask, find } = setup();
    expect(await ask('Bearer the-right-token')).toBe(ADMIN);
    expect(await ask('bearer the-right-token')).toEqual({ name: 'admin', roles: ['admin'] });
    expect(find).not.toHaveBeenCalled();
  });

  it('knows whose a key is', async () => {
    const { ask, note } = setup();
    expect(await ask(`Bearer ${KEY}`)).toBe(ANN);
    expect(note).not.toHaveBeenCalled();
  });

  it('says how to ask where nothing is given, which is no failed login', async () => {
    const { ask, note } = setup();
    const headers = { 'WWW-Authenticate': 'Bearer realm="turnpike"' };
    await expect(ask(undefined)).rejects.toMatchObject({ code: 'unauthorized', headers });
    expect(note).not.toHaveBeenCalled();
  });

  it.each([
    ...['', 'Bearer', 'Bearer ', 'Basic the-right-token', 'the-right-token'],
    ...['Bearer wrong', 'Bearer the-wrong-token', 'Bearer the-right-toke', 'Bearer the-right-tokens'],
  ])('refuses %p, and counts it', async (header) => {
    const { ask, note } = setup();
    const headers = { 'WWW-Authenticate': 'Bearer realm="turnpike", error="invalid_token"' };
    await expect(ask(header)).rejects.toMatchObject({ code: 'unauthorized', headers });
    expect(note).toHaveBeenCalledTimes(1);
  });

  it('tells nobody more of a wrong key than its beginning, and of what is no key nothing', async () => {
    const { ask, note } = setup();
    const reason = 'the key is not known';
    await expect(ask(`Bearer ${KEY}y`)).rejects.toThrow(reason);
    expect(note).toHaveBeenLastCalledWith({ address: '10.0.0.1', reason, keyPrefix: 'tpk_AbCd1234' });
    await expect(ask('Bearer the-right-tokem')).rejects.toThrow(reason);
    expect(note).toHaveBeenLastCalledWith({ address: '10.0.0.1', reason });
  });

  it('bids an address that fails too often wait, but not one that has a good key', async () => {
    const { ask } = setup({ wait: 42 });
    await expect(ask('Bearer wrong')).rejects.toMatchObject({
      code: 'too_many_requests',
      headers: { 'Retry-After': '42' },
    });
    expect(await ask(`Bearer ${KEY}`)).toBe(ANN);
  });

  it('knows whether a caller may still what it could, and counts no failed login for that', async () => {
    const { authenticator, find, note } = setup();
    const still = (caller: Principal = ANN) => authenticator.isStill(caller, `Bearer ${KEY}`);
    expect(await still()).toBe(true);
    expect(await still({ ...ANN, roles: ['admin'] })).toBe(false);
    expect(await still({ ...ANN, scopes: ['shop'] })).toBe(false);
    expect(await authenticator.isStill(ADMIN, 'Bearer the-right-token')).toBe(true);
    expect(await authenticator.isStill(ANN)).toBe(false);
    find.mockResolvedValue({ refused: "the key 'ann' was revoked" });
    expect(await still()).toBe(false);
    find.mockRejectedValue(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    expect(await still()).toBe(true);
    expect(note).not.toHaveBeenCalled();
  });
});
