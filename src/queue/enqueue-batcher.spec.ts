import {
  aClaimedTask,
  advance,
  databaseAway,
  deferred,
  mockSleep,
  queueOptions,
  sqlError,
  standIn,
  useFakeTime,
  watch,
} from '../../test/support/queue-doubles.js';
import type { EncodedTask, KeyedTask } from './new-task.js';
import type { IdempotencyStore } from './store/idempotency-store.js';
import type { TaskStore } from './store/task-store.js';
import type { Offer, Stored } from './store/task-changes.js';
import type { ClaimedTask } from './task-handler.js';
import type { Claimer } from './workers/claimer.js';

mockSleep();
const { EnqueueBatcher, QueueBusyError } = await import('./enqueue-batcher.js');

const task = (taskId: string, json = '{}'): EncodedTask => ({ taskId, json });

const STORED: Stored = { earliest: 7, taken: [] };

/** A claimer that offers what the test puts there, and notes what was taken. */
class QuietClaimer {
  offer: Offer | undefined;
  readonly taken: string[] = [];

  async offerWorkers<T>(store: (offer?: Offer) => Promise<{ result: T; taken: readonly ClaimedTask[] }>): Promise<T> {
    const { result, taken } = await store(this.offer);
    this.taken.push(...taken.map(({ id }) => id));
    return result;
  }
}

function setup() {
  const enqueue = jest.fn<Promise<Stored>, [readonly EncodedTask[]]>(async () => STORED);
  const enqueueTaking = jest.fn<Promise<Stored>, [readonly EncodedTask[], Offer]>(async () => STORED);
  const claimedBy = jest.fn<Promise<ClaimedTask[]>, [string]>(async () => []);
  const enqueueOnce = jest.fn(async (tasks: readonly KeyedTask[], _keepSeconds: number, _offer?: Offer) => ({
    ...STORED,
    noted: tasks.map(({ taskId, idempotency: { bodyHash } }) => ({ taskId, bodyHash, facts: null })),
  }));
  const checkWritable = jest.fn(async () => undefined);
  const rehearse = jest.fn<Promise<void>, [readonly EncodedTask[]]>(async () => undefined);
  const claimer = new QuietClaimer();
  const batcher = new EnqueueBatcher(
    standIn<TaskStore>({ enqueue, enqueueTaking, claimedBy, checkWritable, rehearse, touchKeysOf: () => undefined }),
    standIn<IdempotencyStore>({ enqueue: enqueueOnce }),
    standIn<Claimer>(claimer),
    queueOptions(),
  );
  const statements = () => enqueue.mock.calls.map(([tasks]) => tasks.map(({ taskId }) => taskId).join(''));
  const add = (ids: string) => [...ids].map((id) => watch(batcher.enqueue(task(id))));
  /** The store refuses every statement that holds one of these tasks. */
  const refuse = (ids: string, error: (id: string) => Error) =>
    enqueue.mockImplementation(async (tasks) => {
      const culprit = tasks.find(({ taskId }) => ids.includes(taskId));
      if (culprit) throw error(culprit.taskId);
      return STORED;
    });
  return {
    ...{ batcher, enqueue, enqueueOnce, enqueueTaking, claimedBy, checkWritable, rehearse },
    ...{ claimer, statements, add, refuse },
  };
}

const states = (seen: { state: string }[]) => seen.map(({ state }) => state);

describe('EnqueueBatcher: what waits to be stored', () => {
  const json = (bytes: number) => 'x'.repeat(bytes);

  it('is bounded in number: callers beyond it are refused until there is room', async () => {
    const { batcher, enqueue } = setup();
    const commit = deferred<Stored>();
    enqueue.mockReturnValue(commit.promise);
    const taken = Array.from({ length: 20_000 }, (_, n) => batcher.enqueue(task(`${n}`)));
    await expect(batcher.enqueue(task('one more'))).rejects.toThrow(QueueBusyError);
    commit.resolve(STORED);
    await Promise.all(taken);
    expect(await batcher.enqueue(task('later'))).toBe(7);
  });

  it('makes those wait that say so', async () => {
    const { batcher, enqueue } = setup();
    const commit = deferred<Stored>();
    enqueue.mockReturnValueOnce(commit.promise);
    const large = batcher.enqueue(task('a', json(64 * 1024 * 1024)));
    const waiting = ['b', 'c'].map((id) => batcher.enqueue(task(id, json(40 * 1024 * 1024)), 'wait'));
    await expect(batcher.enqueue(task('d'))).rejects.toThrow(QueueBusyError);
    commit.resolve(STORED);
    expect(await Promise.all([large, ...waiting])).toEqual([7, 7, 7]);
  });

  it('is bounded in bytes, but for one task alone', async () => {
    const { batcher, enqueue } = setup();
    const commit = deferred<Stored>();
    enqueue.mockReturnValueOnce(commit.promise);
    const large = batcher.enqueue(task('a', json(65 * 1024 * 1024)));
    await expect(batcher.enqueue(task('b'))).rejects.toThrow(QueueBusyError);
    commit.resolve(STORED);
    expect(await large).toBe(7);
    expect(await batcher.enqueue(task('b'))).toBe(7);
  });

  it('is counted down also when it could not be stored', async () => {
    const { batcher, enqueue } = setup();
    enqueue.mockRejectedValueOnce(sqlError('42P01'));
    await expect(batcher.enqueue(task('a', json(64 * 1024 * 1024)))).rejects.toMatchObject({ code: '42P01' });
    expect(await batcher.enqueue(task('b', json(64 * 1024 * 1024)))).toBe(7);
  });
});

describe('EnqueueBatcher', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('stores all tasks of one turn with one statement and answers after it', async () => {
    const { enqueue, statements, add } = setup();
    const commit = deferred<Stored>();
    enqueue.mockReturnValueOnce(commit.promise);
    const seen = add('abc');
    await advance();
    expect(statements()).toEqual(['abc']);
    expect(states(seen)).toEqual(['pending', 'pending', 'pending']);
    commit.resolve(STORED);
    await advance();
    expect(states(seen)).toEqual(['resolved', 'resolved', 'resolved']);
  });

  it('keeps a statement under eight megabytes', async () => {
    const { batcher, enqueue } = setup();
    const heavy = 'x'.repeat(3 * 1024 * 1024);
    for (const id of 'abc') void batcher.enqueue(task(id, heavy));
    await advance(1);
    expect(enqueue.mock.calls.map(([tasks]) => tasks.length)).toEqual([2, 1]);
  });

  it('keeps a statement at 500 tasks, with two on their way at most', async () => {
    const { batcher, enqueue } = setup();
    enqueue.mockReturnValue(new Promise(() => undefined));
    for (let n = 0; n < 1_200; n++) void batcher.enqueue(task(String(n)));
    await advance(5);
    expect(enqueue.mock.calls.map(([tasks]) => tasks.length)).toEqual([500, 500]);
  });

  it.each(['22P05', '23514', '54000'])('halves a batch refused with %s until the culprits fail alone', async (code) => {
    const { add, refuse } = setup();
    refuse('cf', (id) => sqlError(code, `bad ${id}`));
    const seen = add('abcdefg');
    await advance();
    expect(states(seen)).toEqual(['resolved', 'resolved', 'rejected', 'resolved', 'resolved', 'rejected', 'resolved']);
    expect(seen[2]!.value).toMatchObject({ message: 'bad c' });
    expect(seen[5]!.value).toMatchObject({ message: 'bad f' });
  });

  it('stores no task twice while it halves', async () => {
    const { enqueue, add } = setup();
    const stored: string[] = [];
    enqueue.mockImplementation(async (tasks) => {
      const ids = tasks.map(({ taskId }) => taskId);
      if (ids.includes('b')) throw sqlError('22001');
      stored.push(...ids);
      return STORED;
    });
    add('abcde');
    await advance();
    expect(stored.sort()).toEqual(['a', 'c', 'd', 'e']);
  });

  it.each([
    ['a broken connection', databaseAway()],
    ['08006', sqlError('08006')],
    ['57P01', sqlError('57P01')],
    ['53300', sqlError('53300')],
  ])('repeats the same rows after %s, and never halves', async (_, error) => {
    const { enqueue, statements, add } = setup();
    enqueue.mockRejectedValueOnce(error).mockRejectedValueOnce(error);
    const seen = add('abc');
    await advance();
    expect(statements()).toEqual(['abc']);
    await advance(20);
    expect(statements()).toEqual(['abc', 'abc']);
    await advance(100);
    expect(statements()).toEqual(['abc', 'abc', 'abc']);
    expect(states(seen)).toEqual(['resolved', 'resolved', 'resolved']);
  });

  it('gives up after three repeats and rejects every caller with the error', async () => {
    const { enqueue, statements, add } = setup();
    const away = databaseAway();
    enqueue.mockRejectedValue(away);
    const seen = add('ab');
    await advance(520);
    expect(statements()).toEqual(['ab', 'ab', 'ab', 'ab']);
    expect(seen).toEqual(Array(2).fill({ state: 'rejected', value: away }));
    await advance(10_000);
    expect(enqueue).toHaveBeenCalledTimes(4);
  });

  describe('check', () => {
    it('tries another task than the one that the database did not take: that one may be too large for it', async () => {
      const { batcher, refuse, rehearse, add } = setup();
      refuse('a', () => sqlError('57014'));
      add('a');
      await advance(1_000);
      await batcher.check();
      expect(rehearse).toHaveBeenCalledTimes(1);
      expect(rehearse).not.toHaveBeenCalledWith([task('a')]);
    });

    it('trusts a batch that was stored since', async () => {
      const { batcher, enqueue, rehearse, add } = setup();
      for (let n = 0; n < 4; n++) enqueue.mockRejectedValueOnce(sqlError('53100'));
      add('a');
      await advance(1_000);
      add('b');
      await advance();
      await batcher.check();
      expect(rehearse).not.toHaveBeenCalled();
    });

    it('knows that a refused task says nothing of the database', async () => {
      const { batcher, refuse, rehearse, add } = setup();
      refuse('a', () => sqlError('22P05'));
      add('a');
      await advance();
      await batcher.check();
      expect(rehearse).not.toHaveBeenCalled();
    });
  });

  it.each(['42P01', '42501', '40001', '55P03'])('fails at once on %s', async (code) => {
    const { enqueue, add } = setup();
    enqueue.mockRejectedValue(sqlError(code));
    const seen = add('abc');
    await advance();
    expect(states(seen)).toEqual(['rejected', 'rejected', 'rejected']);
    await advance(10_000);
    expect(enqueue).toHaveBeenCalledTimes(1);
  });

  it('tells the callers of a half that is stored so, even when the other half meets a dead database', async () => {
    const { enqueue, add } = setup();
    enqueue.mockImplementation(async (tasks) => {
      const ids = tasks.map(({ taskId }) => taskId).join('');
      if (ids === 'abcd') throw sqlError('22P05');
      if (ids.includes('c')) throw databaseAway();
      return STORED;
    });
    const seen = add('abcd');
    await advance(10_000);
    expect(states(seen)).toEqual(['resolved', 'resolved', 'rejected', 'rejected']);
  });

  describe('where workers are offered', () => {
    const OFFER: Offer = { instance: 'me', token: 'token', workers: 2, floor: 1 };
    const taken = [aClaimedTask({ id: '1' })];

    it('hands over what they got, and says that nothing waits', async () => {
      const { batcher, enqueue, enqueueTaking, claimer } = setup();
      claimer.offer = OFFER;
      enqueueTaking.mockResolvedValueOnce({ earliest: Infinity, taken });
      const seen = watch(batcher.enqueue(task('a')));
      await advance();
      expect(seen.value).toBe(Infinity);
      expect(enqueueTaking.mock.calls).toEqual([[[task('a')], OFFER]]);
      expect(claimer.taken).toEqual(['1']);
      expect(enqueue).not.toHaveBeenCalled();
    });

    it('finds what they got from a try whose answer was lost', async () => {
      const { enqueueTaking, claimedBy, claimer, add } = setup();
      claimer.offer = OFFER;
      enqueueTaking.mockRejectedValueOnce(databaseAway()).mockResolvedValueOnce({ earliest: null, taken: [] });
      claimedBy.mockRejectedValueOnce(databaseAway()).mockResolvedValueOnce(taken);
      enqueueTaking.mockResolvedValueOnce({ earliest: null, taken: [] });
      const seen = add('a');
      await advance(1_000);
      expect(seen.map(({ value }) => value)).toEqual([-Infinity]);
      expect(claimedBy.mock.calls).toEqual([['token'], ['token']]);
      expect(claimer.taken).toEqual(['1']);
    });
  });

  it('is idle when the last statement has ended', async () => {
    const { batcher, enqueue, add } = setup();
    const commit = deferred<Stored>();
    enqueue.mockReturnValueOnce(commit.promise);
    add('a');
    const idle = watch(batcher.idle());
    await advance();
    expect(idle.state).toBe('pending');
    commit.resolve(STORED);
    await advance();
    expect(idle.state).toBe('resolved');
  });
});

describe('EnqueueBatcher: tasks with idempotency keys', () => {
  beforeEach(useFakeTime);
  afterEach(() => jest.useRealTimers());

  const keyed = (key: string): KeyedTask => ({
    ...task(`task-${key}`),
    idempotency: { principal: 'ann', key, bodyHash: 'h' },
  });

  it('go by a statement of their own, and those without do not wait for them', async () => {
    const { batcher, enqueue, enqueueOnce } = setup();
    enqueueOnce.mockReturnValueOnce(deferred<never>().promise);
    const once = watch(batcher.enqueueOnce(keyed('a')));
    const plain = watch(batcher.enqueue(task('b')));
    expect(batcher.size).toBe(2);
    await advance(1);
    expect(states([once, plain])).toEqual(['pending', 'resolved']);
    expect(enqueueOnce).toHaveBeenCalledWith([keyed('a')], 86_400, undefined);
    expect(enqueue).toHaveBeenCalledTimes(1);
    expect(batcher.size).toBe(1);
  });

  it('one whose key is in other hands does not hold up the others, and is told to come again', async () => {
    const { batcher, enqueueOnce } = setup();
    const store = enqueueOnce.getMockImplementation()!;
    enqueueOnce.mockImplementation(async (tasks, seconds) => {
      if (tasks.some(({ taskId }) => taskId === 'task-b')) throw sqlError('55P03');
      return store(tasks, seconds);
    });
    const seen = ['a', 'b', 'c'].map((key) => watch(batcher.enqueueOnce(keyed(key))));
    await advance(1);
    expect(states(seen)).toEqual(['resolved', 'rejected', 'resolved']);
    expect(seen[1]!.value).toBeInstanceOf(QueueBusyError);
    expect(seen[0]!.value).toEqual({ earliest: 7, noted: { taskId: 'task-a', bodyHash: 'h', facts: null } });
  });
});
