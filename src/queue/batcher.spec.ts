import { deferred, turns, watch, type Deferred } from '../../test/support/queue-doubles.js';
import { Batcher, type BatchLimits } from './batcher.js';

/** A batcher whose flushes end when the test says so. */
function setup(limits: Partial<BatchLimits<string>> = {}) {
  const flights: { items: string[]; landing: Deferred<(string | Error)[]> }[] = [];
  const batcher = new Batcher<string, string>(
    (items) => {
      const landing = deferred<(string | Error)[]>();
      flights.push({ items, landing });
      return landing.promise;
    },
    { maxBatch: 100, inFlight: 1, ...limits },
  );
  const land = async (flight: number) => {
    flights[flight]!.landing.resolve(flights[flight]!.items.map((item) => `${item}!`));
    await turns();
  };
  const batches = () => flights.map(({ items }) => items.join(''));
  return { batcher, flights, batches, land };
}

const addAll = (batcher: Batcher<string, string>, items: string) => [...items].map((item) => watch(batcher.add(item)));

describe('Batcher', () => {
  it('flushes what one turn of the event loop hands in together, and not before the turn is over', async () => {
    const { batcher, batches } = setup();
    addAll(batcher, 'ab');
    await Promise.resolve();
    addAll(batcher, 'c');
    expect(batches()).toEqual([]);
    await turns();
    expect(batches()).toEqual(['abc']);
  });

  it('gives back what has not taken off, the last of its like, and nothing else', async () => {
    const { batcher, batches, land } = setup();
    addAll(batcher, 'abb');
    expect(batcher.withdraw((item) => item === 'b')).toBe(true);
    expect(batcher.withdraw((item) => item === 'x')).toBe(false);
    await turns();
    expect(batches()).toEqual(['ab']);
    expect(batcher.withdraw((item) => item === 'a')).toBe(false);
    await land(0);
  });

  it('is idle when all that waited was taken back', async () => {
    const { batcher, batches } = setup();
    addAll(batcher, 'a');
    const idle = watch(batcher.idle());
    batcher.withdraw(() => true);
    await turns();
    expect(idle.state).toBe('resolved');
    expect(batches()).toEqual([]);
  });

  it('gives each caller the result of its own item', async () => {
    const { batcher, land } = setup();
    const seen = addAll(batcher, 'ab');
    await turns();
    expect(seen.map(({ state }) => state)).toEqual(['pending', 'pending']);
    await land(0);
    expect(seen.map(({ value }) => value)).toEqual(['a!', 'b!']);
  });

  it('collects while the flights are under way, so that the next batch is bigger', async () => {
    const { batcher, batches, land } = setup();
    addAll(batcher, 'a');
    await turns();
    addAll(batcher, 'b');
    await turns();
    addAll(batcher, 'cd');
    await turns();
    expect(batches()).toEqual(['a']);
    await land(0);
    expect(batches()).toEqual(['a', 'bcd']);
  });

  it('never has more flights under way than allowed, and takes off again as soon as one has landed', async () => {
    const { batcher, batches, land } = setup({ inFlight: 2 });
    for (const item of 'abcd') {
      addAll(batcher, item);
      await turns();
    }
    expect(batches()).toEqual(['a', 'b']);
    await land(1);
    expect(batches()).toEqual(['a', 'b', 'cd']);
  });

  it('cuts batches at maxBatch, in the order handed in, and does not wait for new items to flush the rest', async () => {
    const { batcher, batches, land } = setup({ maxBatch: 2, inFlight: 2 });
    const seen = addAll(batcher, 'abcde');
    await turns();
    expect(batches()).toEqual(['ab', 'cd']);
    await land(0);
    expect(batches()).toEqual(['ab', 'cd', 'e']);
    await land(1);
    await land(2);
    expect(seen.map(({ value }) => value)).toEqual(['a!', 'b!', 'c!', 'd!', 'e!']);
  });

  it('ends a batch before its items weigh too much together; one item always goes', async () => {
    const { batcher, batches } = setup({ maxWeight: 5, weigh: Number, inFlight: 9 });
    addAll(batcher, '2317911');
    await turns();
    expect(batches()).toEqual(['23', '1', '7', '9', '11']);
  });

  it('rejects one caller for an Error among the results, and no other', async () => {
    const { batcher, flights } = setup();
    const seen = addAll(batcher, 'abc');
    await turns();
    const refused = new Error('refused');
    flights[0]!.landing.resolve(['A', refused, 'C']);
    await turns();
    expect(seen).toEqual([
      { state: 'resolved', value: 'A' },
      { state: 'rejected', value: refused },
      { state: 'resolved', value: 'C' },
    ]);
  });

  it('rejects the whole batch when the flush throws, and goes on with the next', async () => {
    const { batcher, flights, batches, land } = setup();
    const seen = addAll(batcher, 'ab');
    await turns();
    const next = addAll(batcher, 'c');
    const away = new Error('away');
    flights[0]!.landing.reject(away);
    await turns();
    expect(seen).toEqual(Array(2).fill({ state: 'rejected', value: away }));
    expect(batches()).toEqual(['ab', 'c']);
    await land(1);
    expect(next[0]!.state).toBe('resolved');
  });

  it('frees the flight of a flush that throws before it returns a promise', async () => {
    const flush = jest.fn<Promise<string[]>, [string[]]>(async (items) => items);
    flush.mockImplementationOnce(() => {
      throw new Error('at once');
    });
    const batcher = new Batcher<string, string>(flush, { maxBatch: 1, inFlight: 1 });
    const [first, second] = addAll(batcher, 'ab');
    await turns();
    expect(first!.state).toBe('rejected');
    expect(second!.value).toBe('b');
  });

  describe('idle', () => {
    it('resolves at once when there is nothing to flush', async () => {
      await expect(setup().batcher.idle()).resolves.toBeUndefined();
    });

    it('waits for what has not taken off yet and for all flights', async () => {
      const { batcher, land } = setup({ maxBatch: 1, inFlight: 2 });
      addAll(batcher, 'abc');
      const idle = [watch(batcher.idle()), watch(batcher.idle())];
      await turns();
      await land(0);
      await land(2);
      expect(idle.map(({ state }) => state)).toEqual(['pending', 'pending']);
      await land(1);
      expect(idle.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
    });

    it('resolves after a flush that failed', async () => {
      const { batcher, flights } = setup();
      addAll(batcher, 'a');
      await turns();
      const idle = watch(batcher.idle());
      flights[0]!.landing.reject(new Error('away'));
      await turns();
      expect(idle.state).toBe('resolved');
    });
  });
});
