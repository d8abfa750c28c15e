import type { AuthNote } from './auth-ledger.js';
import { LoginFailures, networkOf } from './login-failures.js';

function setup() {
  const note = jest.fn(async (_note: AuthNote): Promise<void> => undefined);
  const failures = new LoginFailures({ note });
  const fail = (address = '10.0.0.1', times = 1) => {
    let wait = 0;
    for (let n = 0; n < times; n++) wait = failures.note({ address, reason: 'not known', keyPrefix: 'tpk_AbCd1234' });
    return wait;
  };
  return { failures, fail, details: () => note.mock.calls.map(([{ detail }]) => detail), note };
}

describe('LoginFailures', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('writes the first of an address at once, and those that follow as one, with their number', async () => {
    const { fail, details, note } = setup();
    fail();
    expect(note).toHaveBeenCalledWith({ actor: 'unknown', cause: 'login_failed', detail: details()[0] });
    const about = { address: '10.0.0.1', reason: 'not known', key_prefix: 'tpk_AbCd1234' };
    expect(details()).toEqual([{ ...about, count: 1, since: expect.any(String) }]);
    fail('10.0.0.1', 499);
    await jest.advanceTimersByTimeAsync(120_000);
    expect(details().slice(1)).toEqual([{ ...about, count: 499, since: expect.any(String) }]);
    await jest.advanceTimersByTimeAsync(600_000);
    expect(details()).toHaveLength(2);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('bids an address wait after twenty in a minute, until that minute is over; others not', async () => {
    const { fail } = setup();
    expect(fail('10.0.0.1', 20)).toBe(0);
    await jest.advanceTimersByTimeAsync(20_000);
    expect(fail('10.0.0.1')).toBe(40);
    expect(fail('10.0.0.2')).toBe(0);
    await jest.advanceTimersByTimeAsync(40_001);
    expect(fail('10.0.0.1')).toBe(0);
  });

  it('fills neither the ledger nor the memory, from however many addresses somebody comes', async () => {
    const { fail, details, failures } = setup();
    for (let n = 0; n < 30_000; n++) fail(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect((failures as unknown as { tallies: Map<string, unknown> }).tallies.size).toBe(10_000);
    expect(details()).toHaveLength(60);
    await jest.advanceTimersByTimeAsync(240_000);
    const all = details();
    const counted = all.reduce((sum, { count }) => sum + Number(count), 0);
    expect(counted).toBe(30_000);
    expect(all.length).toBeLessThanOrEqual(60 * 5 + 4);
  });

  it('writes what it has counted when the service ends, and fails nobody where that cannot be written', async () => {
    const { fail, failures, details, note } = setup();
    note.mockRejectedValueOnce(new Error('away'));
    fail('10.0.0.1', 3);
    await failures.beforeApplicationShutdown();
    expect(details().map(({ count }) => count)).toEqual([1, 2]);
  });

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['', 'unknown'],
  ])('takes %p for %p', (address, network) => expect(networkOf(address)).toBe(network));
});
