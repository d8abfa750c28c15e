import { advance, deferred, recordLogs, standIn, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { QueueDatabase, Statement } from '../store/queue-database.js';
import type { TaskStore } from '../store/task-store.js';
import { Admitter } from './admitter.js';

/** An admitter over a database that answers as the test says; `touch` is what the store tells it. */
function setup() {
  const calls: string[][] = [];
  let answer: (keys: string[]) => Promise<unknown[]> = async () => [];
  let touch: (keys: readonly string[]) => void = () => undefined;
  const database = {
    run: async (statement: Statement, [keys]: [string[]]) => {
      if (statement.name !== 'queue_admit') return [{ key: 'left' }];
      calls.push(keys);
      return answer(keys);
    },
  };
  const admitter = new Admitter(
    standIn<QueueDatabase>(database),
    standIn<TaskStore>({ onKeysTouched: (listener: typeof touch) => void (touch = listener) }),
  );
  const told: number[] = [];
  admitter.onAdmitted((earliest) => told.push(earliest));
  return {
    admitter,
    calls,
    told,
    touch: (keys: string[]) => touch(keys),
    answerWith: (to: typeof answer) => (answer = to),
  };
}

describe('Admitter', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('has one statement under way, and takes all keys touched meanwhile into the next, each once', async () => {
    const { calls, touch, answerWith } = setup();
    const first = deferred<unknown[]>();
    answerWith(() => first.promise);
    touch(['a']);
    touch(['b', 'c']);
    touch(['b']);
    await advance();
    expect(calls).toEqual([['a']]);
    first.resolve([]);
    await advance();
    expect(calls).toEqual([['a'], ['b', 'c']]);
  });

  it('tells when the first of the admitted tasks is to start, and nothing where none was admitted', async () => {
    const { told, touch, answerWith } = setup();
    touch(['a']);
    await advance();
    expect(told).toEqual([]);
    answerWith(async () => [{ start_by_ms: 9 }, { start_by_ms: 4 }]);
    touch(['a']);
    await advance();
    expect(told).toEqual([4]);
  });

  it('takes 500 keys at a time', async () => {
    const { calls, touch } = setup();
    touch(Array.from({ length: 1_001 }, (_, n) => `k${n}`));
    await advance();
    expect(calls.map(({ length }) => length)).toEqual([500, 500, 1]);
  });

  it('goes on after an error, and finds in admitAll what was missed', async () => {
    const { admitter, calls, touch, answerWith } = setup();
    answerWith(() => Promise.reject(new Error('away')));
    touch(['a']);
    await advance();
    expect(logs).toMatchObject([{ level: 'warn', keys: 1, error: 'away' }]);
    answerWith(async () => []);
    await admitter.admitAll();
    expect(calls).toEqual([['a'], ['left']]);
  });
});
