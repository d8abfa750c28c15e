import { advance, databaseAway, deferred, standIn, useFakeTime, watch } from '../../test/support/queue-doubles.js';
import { AppLoad } from './app-load.js';
import type { QueueDatabase } from './store/queue-database.js';

function setup() {
  const run = jest.fn<Promise<object[]>, []>(async () => [{ app_name: 'shop', pending: 5 }]);
  return { load: new AppLoad(standIn<QueueDatabase>({ run })), run };
}

describe('AppLoad', () => {
  beforeEach(useFakeTime);
  afterEach(() => jest.useRealTimers());

  it('counts once for all who ask, and adds what came since', async () => {
    const { load, run } = setup();
    expect(await Promise.all([load.of('shop'), load.of('blog')])).toEqual([5, 0]);
    load.add('shop', 2);
    load.add('blog', 1);
    expect([await load.of('shop'), await load.of('blog')]).toEqual([7, 1]);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('counts again after a second, while those who ask go by the old count', async () => {
    const { load, run } = setup();
    await load.of('shop');
    await advance(1_000);
    const count = deferred<object[]>();
    run.mockReturnValueOnce(count.promise);
    expect(await load.of('shop')).toBe(5);
    load.add('shop', 1);
    count.resolve([{ app_name: 'shop', pending: 3 }]);
    await advance();
    // What was added meanwhile may be in the count or not.
    expect(await load.of('shop')).toBe(4);
  });

  it('lets those wait who ask after a long rest', async () => {
    const { load, run } = setup();
    await load.of('shop');
    await advance(6_000);
    const count = deferred<object[]>();
    run.mockReturnValueOnce(count.promise);
    const asked = watch(load.of('shop'));
    await advance();
    expect(asked.state).toBe('pending');
    count.resolve([]);
    await advance();
    expect(asked.value).toBe(0);
  });

  it('rests twenty times as long as it took', async () => {
    const { load, run } = setup();
    run.mockImplementationOnce(async () => {
      await advance(200);
      return [];
    });
    await load.of('shop');
    await advance(3_900);
    await load.of('shop');
    expect(run).toHaveBeenCalledTimes(1);
    await advance(200);
    await load.of('shop');
    expect(run).toHaveBeenCalledTimes(2);
  });

  it('keeps what it knows while the database is away', async () => {
    const { load, run } = setup();
    await load.of('shop');
    load.add('shop', 1);
    run.mockRejectedValueOnce(databaseAway());
    await advance(1_000);
    await load.of('shop');
    await advance();
    expect(await load.of('shop')).toBe(6);
  });
});
