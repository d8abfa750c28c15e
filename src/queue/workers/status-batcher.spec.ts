import {
  advance,
  databaseAway,
  deferred,
  mockSleep,
  sqlError,
  standIn,
  useFakeTime,
  watch,
} from '../../../test/support/queue-doubles.js';
import type { TaskStore } from '../store/task-store.js';
import type { Finished, FinishRow, Standing, StartRow } from '../store/task-changes.js';
import { isTerminal, type TaskStatus } from '../task-status.js';
import type { Heartbeat } from './heartbeat.js';
import type { StatusBatcher as Batcher } from './status-batcher.js';

mockSleep();
const { StatusBatcher } = await import('./status-batcher.js');

type Outcome = Parameters<Batcher['finish']>[0];

const outcome = (id: string, changes: Partial<Outcome> = {}): Outcome => ({
  id,
  token: `token-${id}`,
  attempt: 1,
  status: 'completed',
  cause: null,
  error_message: null,
  result: null,
  failed: false,
  retry_seconds: null,
  wait_seconds: null,
  seen_decisions: null,
  ...changes,
});
const recorded = ({ id, status }: Pick<FinishRow, 'id' | 'status'>): Finished => ({
  id,
  attempt: 1,
  status,
  execution_time_ms: 42,
});

/** A store that records everything until a test tells it otherwise; no task stands anywhere. */
function setup() {
  const finish = jest.fn<Promise<Finished[]>, [readonly FinishRow[], string]>(async (rows) => rows.map(recorded));
  const finishUnlocked = jest.fn<Promise<Finished[]>, [readonly FinishRow[], string]>(async (rows) =>
    rows.map(recorded),
  );
  const start = jest.fn<Promise<Finished[]>, [readonly StartRow[], string]>(async () => []);
  const startUnlocked = jest.fn<Promise<Finished[]>, [readonly StartRow[], string]>(async () => []);
  const tasks: Standing[] = [];
  const standing = jest.fn(async (ids: readonly string[]) => tasks.filter(({ id }) => ids.includes(id)));
  const heartbeat = { instanceId: 'me', alive: true };
  const batcher = new StatusBatcher(
    standIn<TaskStore>({ finish, finishUnlocked, start, startUnlocked, standing }),
    standIn<Heartbeat>(heartbeat),
  );
  /** The first attempt, waiting or running, stands under its own lease unless the test says otherwise. */
  const stand = (
    id: string,
    status: TaskStatus,
    attempt = 1,
    lease_token = attempt === 1 && !isTerminal(status) ? `token-${id}` : null,
  ) => tasks.push({ id, status, attempt, lease_token });
  const idsOf = (mock: typeof finish) => mock.mock.calls.map(([rows]) => rows.map(({ id }) => id).join(''));
  const add = (...outcomes: Outcome[]) => outcomes.map((one) => watch(batcher.finish(one)));
  return { batcher, finish, finishUnlocked, start, startUnlocked, standing, stand, tasks, heartbeat, idsOf, add };
}

const values = (seen: { value: unknown }[]) => seen.map(({ value }) => value);
const states = (seen: { state: string }[]) => seen.map(({ state }) => state);

describe('StatusBatcher', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('records the outcomes of one turn with one statement, signed by the instance', async () => {
    const { finish, standing, add } = setup();
    const seen = add(outcome('a'), outcome('b', { status: 'failed', cause: 'step_failed', failed: true }));
    await advance();
    const row = { ...outcome('a'), attempt: undefined, begun_seconds_ago: null };
    expect(finish.mock.calls).toEqual([
      [[row, expect.objectContaining({ id: 'b', status: 'failed', cause: 'step_failed', failed: true })], 'worker:me'],
    ]);
    expect(values(seen)).toMatchObject([
      { id: 'a', status: 'completed', execution_time_ms: 42 },
      { id: 'b', status: 'failed' },
    ]);
    expect(standing).not.toHaveBeenCalled();
  });

  it('answers after the commit', async () => {
    const { finish, add } = setup();
    const commit = deferred<Finished[]>();
    finish.mockReturnValueOnce(commit.promise);
    const seen = add(outcome('a'));
    await advance(1_000);
    expect(states(seen)).toEqual(['pending']);
    commit.resolve([recorded(outcome('a'))]);
    await advance();
    expect(states(seen)).toEqual(['resolved']);
  });

  describe('an outcome that matched no lease', () => {
    it('is lost, and no other of its batch', async () => {
      const { finish, standing, stand, add } = setup();
      finish.mockResolvedValueOnce([recorded(outcome('b'))]);
      stand('a', 'running', 2);
      const seen = add(outcome('a'), outcome('b'), outcome('c'));
      await advance();
      expect(values(seen)).toEqual(['lost', recorded(outcome('b')), 'lost']);
      expect(standing.mock.calls).toEqual([[['a', 'c']]]);
    });

    it.each<[Outcome['status'], TaskStatus]>([
      ['completed', 'completed'],
      ['failed', 'failed'],
      ['retrying', 'retrying'],
      ['cancelled', 'cancelled'],
      // A requested cancel turns any outcome but `completed` into this.
      ['failed', 'cancelled'],
    ])('is an own try that had committed, when %s was sent and this attempt stands as %s', async (sent, status) => {
      const { finish, stand, add } = setup();
      finish.mockResolvedValueOnce([]);
      stand('a', status, 1, null);
      const seen = add(outcome('a', { status: sent }));
      await advance();
      expect(values(seen)).toEqual([{ id: 'a', attempt: 1, status, execution_time_ms: 0 }]);
    });

    it.each<[string, TaskStatus, number]>([
      ['another attempt has the same end', 'completed', 2],
      ['this attempt goes on elsewhere', 'running', 1],
      ['this attempt was taken back', 'pending', 1],
      ['this attempt ended otherwise', 'failed', 1],
    ])('is lost when %s', async (_, status, attempt) => {
      const { finish, stand, add } = setup();
      finish.mockResolvedValueOnce([]);
      stand('a', status, attempt);
      const seen = add(outcome('a'));
      await advance();
      expect(values(seen)).toEqual(['lost']);
    });

    it('is lost too when the row that came back is of another attempt', async () => {
      const { finish, standing, add } = setup();
      finish.mockResolvedValueOnce([{ ...recorded(outcome('a')), attempt: 2 }]);
      const seen = add(outcome('a', { attempt: 1 }), outcome('a', { attempt: 2, token: 'newer' }));
      await advance();
      expect(values(seen)).toEqual(['lost', { ...recorded(outcome('a')), attempt: 2 }]);
      expect(standing.mock.calls).toEqual([[['a']]]);
    });
  });

  describe('a start that matched nothing', () => {
    const A = { id: 'a', token: 'token-a', attempt: 1 };

    it('is an own try that had committed, when the task runs in this attempt under its lease', async () => {
      const { batcher, stand } = setup();
      stand('a', 'running');
      const seen = watch(batcher.start(A).mine);
      await advance();
      expect(seen.value).toBe(true);
    });

    it.each<[string, TaskStatus, number, string | null]>([
      ['somebody else has begun the same attempt', 'running', 1, 'token-other'],
      ['it was taken back', 'pending', 0, null],
      ['it was taken back and taken ahead again', 'pending', 0, 'token-other'],
      ['a hand has ended it', 'cancelled', 0, 'token-a'],
    ])('is lost when %s', async (_, status, attempt, token) => {
      const { batcher, stand } = setup();
      stand('a', status, attempt, token);
      const seen = watch(batcher.start(A).mine);
      await advance();
      expect(seen.value).toBe(false);
    });

    it('tries again while somebody holds its row locked, and no longer than it has its lease', async () => {
      const { batcher, start, startUnlocked, stand, tasks } = setup();
      start.mockRejectedValueOnce(sqlError('55P03'));
      stand('a', 'pending', 0, 'token-a');
      const seen = watch(batcher.start(A).mine);
      await advance(1_000);
      expect(seen.state).toBe('pending');
      expect(startUnlocked.mock.calls.length).toBeGreaterThan(3);
      tasks.splice(0, 1);
      stand('a', 'pending', 0, null);
      await advance(300);
      expect(seen.value).toBe(false);
    });
  });

  describe('a start that is taken back before it is on its way', () => {
    const run = (id: string) => ({ id, token: `token-${id}`, attempt: 1 });

    it('is not written, and the outcome says how long ago it was', async () => {
      const { batcher, start, finish } = setup();
      const taken = batcher.start(run('a'));
      const kept = batcher.start(run('b'));
      expect(taken.withdraw()).toBe(true);
      expect(taken.withdraw()).toBe(false);
      jest.advanceTimersByTime(250);
      void batcher.finish(outcome('a', { begunAt: taken.begunAt }));
      await advance();
      expect(start.mock.calls.map(([rows]) => rows.map(({ id }) => id))).toEqual([['b']]);
      expect(finish.mock.calls[0]![0]).toMatchObject([{ id: 'a', begun_seconds_ago: 0.25 }]);
      expect(finish.mock.calls[0]![0][0]).not.toHaveProperty('begunAt');
      expect(kept.withdraw()).toBe(false);
    });

    it('stays where it is once it has left', async () => {
      const { batcher, start } = setup();
      start.mockReturnValueOnce(new Promise(() => undefined));
      const underWay = batcher.start(run('a'));
      await advance();
      expect(underWay.withdraw()).toBe(false);
    });
  });

  describe('while the database is away', () => {
    it.each([
      ['a broken connection', databaseAway()],
      ['57P01', sqlError('57P01')],
    ])('repeats the same rows after %s for as long as the lease lives', async (_, error) => {
      const { finish, idsOf, add } = setup();
      for (let n = 0; n < 30; n++) finish.mockRejectedValueOnce(error);
      const seen = add(outcome('a'), outcome('b'));
      await advance();
      expect(idsOf(finish)).toEqual(['ab']);
      await advance(199);
      expect(idsOf(finish)).toEqual(['ab']);
      await advance(1);
      expect(idsOf(finish)).toEqual(['ab', 'ab']);
      await advance(29 * 200);
      expect(states(seen)).toEqual(['resolved', 'resolved']);
      expect(new Set(idsOf(finish))).toEqual(new Set(['ab']));
    });

    it('repeats the question what became of outcomes that matched no lease', async () => {
      const { finish, standing, stand, add } = setup();
      finish.mockRejectedValueOnce(databaseAway()).mockResolvedValueOnce([recorded(outcome('b'))]);
      standing.mockRejectedValueOnce(databaseAway());
      stand('a', 'completed');
      const seen = add(outcome('a'), outcome('b'));
      await advance(400);
      expect(values(seen)).toMatchObject([
        { id: 'a', status: 'completed' },
        { id: 'b', status: 'completed' },
      ]);
      expect(finish).toHaveBeenCalledTimes(2);
    });

    it('gives up when the lease is over: the tasks are the rescuer’s then', async () => {
      const { finish, heartbeat, add } = setup();
      const away = databaseAway();
      finish.mockRejectedValue(away);
      const seen = add(outcome('a'), outcome('b'));
      await advance(1_000);
      expect(states(seen)).toEqual(['pending', 'pending']);
      heartbeat.alive = false;
      await advance(200);
      expect(seen).toEqual(Array(2).fill({ state: 'rejected', value: away }));
      const tries = finish.mock.calls.length;
      await advance(5_000);
      expect(finish).toHaveBeenCalledTimes(tries);
    });

    it('signs a repeated try with the id the instance has by then', async () => {
      const { finish, heartbeat, add } = setup();
      finish.mockRejectedValueOnce(databaseAway());
      add(outcome('a'));
      await advance();
      heartbeat.instanceId = 'me-again';
      await advance(200);
      expect(finish.mock.calls.map(([, actor]) => actor)).toEqual(['worker:me', 'worker:me-again']);
    });
  });

  describe('an outcome that is more than the database can do', () => {
    it.each(['57014', '53200', '58030'])(
      'is given up alone after some tries, without another of its batch: %s',
      async (code) => {
        const { finish, heartbeat, standing, idsOf, add } = setup();
        const committed: string[] = [];
        finish.mockImplementation(async (rows) => {
          if (rows.some(({ id }) => id === 'c')) throw sqlError(code);
          committed.push(...rows.map(({ id }) => id));
          return rows.map(recorded);
        });
        const seen = add(...[...'abcdefg'].map((id) => outcome(id)));
        await advance(4 * 200);
        expect(idsOf(finish)).toEqual([...Array<string>(5).fill('abcdefg'), 'abcd', 'ab', 'cd', 'c']);
        await advance(4 * 200);
        expect(states(seen)).toEqual([...'abcdefg'].map((id) => (id === 'c' ? 'rejected' : 'resolved')));
        expect(seen[2]!.value).toMatchObject({ code });
        expect(committed.sort().join('')).toBe('abdefg');
        expect(standing).not.toHaveBeenCalled();
        expect(heartbeat.alive).toBe(true);
      },
    );

    it('is stored where the database was only slow for a while', async () => {
      const { finish, idsOf, add } = setup();
      for (let n = 0; n < 4; n++) finish.mockRejectedValueOnce(sqlError('57014'));
      const seen = add(outcome('a'), outcome('b'));
      await advance(4 * 200);
      expect(states(seen)).toEqual(['resolved', 'resolved']);
      expect(new Set(idsOf(finish))).toEqual(new Set(['ab']));
    });

    it('is given up too where its data was refused before', async () => {
      const { finish, add } = setup();
      finish.mockRejectedValueOnce(sqlError('22P05')).mockRejectedValue(sqlError('57014'));
      const seen = add(outcome('a'));
      await advance(2_000);
      expect(seen[0]).toMatchObject({ state: 'rejected', value: { code: '57014' } });
    });

    it('is not asked after without end', async () => {
      const { finish, standing, add } = setup();
      finish.mockResolvedValueOnce([]);
      standing.mockRejectedValue(sqlError('57014'));
      const seen = add(outcome('a'));
      await advance(2_000);
      expect(seen[0]).toMatchObject({ state: 'rejected', value: { code: '57014' } });
    });
  });

  it.each(['42P01', '42501', '40001'])('fails at once on %s', async (code) => {
    const { finish, add } = setup();
    finish.mockRejectedValue(sqlError(code));
    const seen = add(outcome('a'), outcome('b'));
    await advance();
    expect(states(seen)).toEqual(['rejected', 'rejected']);
    expect(finish).toHaveBeenCalledTimes(1);
  });

  describe('a row that somebody else holds locked', () => {
    it('does not hold up the others: the batch goes round it', async () => {
      const { finish, finishUnlocked, stand, idsOf, add } = setup();
      finish.mockRejectedValueOnce(sqlError('55P03'));
      finishUnlocked.mockResolvedValueOnce([recorded(outcome('a')), recorded(outcome('c'))]);
      stand('b', 'running');
      const seen = add(outcome('a'), outcome('b'), outcome('c'));
      await advance();
      expect(states(seen)).toEqual(['resolved', 'pending', 'resolved']);
      expect(idsOf(finish)).toEqual(['abc']);
      expect(idsOf(finishUnlocked)).toEqual(['abc']);
      // It tries again later, and goes round from the start.
      await advance(201);
      expect(states(seen)).toEqual(['resolved', 'resolved', 'resolved']);
      expect(idsOf(finishUnlocked)).toEqual(['abc', 'b']);
      expect(idsOf(finish)).toEqual(['abc']);
    });

    it('is tried for as long as the lease lives, and no longer', async () => {
      const { finish, finishUnlocked, stand, heartbeat, add } = setup();
      finish.mockRejectedValue(sqlError('55P03'));
      finishUnlocked.mockResolvedValue([]);
      stand('a', 'running');
      const seen = add(outcome('a'));
      await advance(5_000);
      expect(states(seen)).toEqual(['pending']);
      expect(finishUnlocked.mock.calls.length).toBeGreaterThan(10);
      heartbeat.alive = false;
      await advance(500);
      expect(seen[0]).toMatchObject({
        state: 'rejected',
        value: { message: expect.stringContaining('somebody else') },
      });
    });

    it('is lost, and not waited for, when its lease is gone meanwhile', async () => {
      const { finish, finishUnlocked, stand, add } = setup();
      finish.mockRejectedValueOnce(sqlError('55P03'));
      finishUnlocked.mockResolvedValueOnce([]);
      stand('a', 'running', 2);
      const seen = add(outcome('a'));
      await advance();
      expect(values(seen)).toEqual(['lost']);
    });

    it('may meet an outage on its way round', async () => {
      const { finish, finishUnlocked, add } = setup();
      finish.mockRejectedValueOnce(sqlError('55P03'));
      finishUnlocked.mockRejectedValueOnce(databaseAway());
      const seen = add(outcome('a'));
      await advance(200);
      expect(values(seen)).toEqual([recorded(outcome('a'))]);
      expect(finishUnlocked).toHaveBeenCalledTimes(2);
    });
  });

  describe('an outcome that cannot be stored', () => {
    const poison = (id: string) => outcome(id, { result: { text: '\0' } });
    const refusePoison = async (rows: readonly FinishRow[]) => {
      if (rows.some(({ result }) => result !== null)) throw sqlError('22P05', 'unsupported Unicode escape\0');
      return rows.map(recorded);
    };

    it('makes its own task fail, with the reason, and no other of its batch', async () => {
      const { finish, add } = setup();
      finish.mockImplementation(refusePoison);
      const seen = add(outcome('a'), poison('b'), outcome('c'), poison('d'), outcome('e'));
      await advance();
      expect((values(seen) as Finished[]).map(({ status }) => status)).toEqual([
        'completed',
        'failed',
        'completed',
        'failed',
        'completed',
      ]);
      const stored = finish.mock.calls.flatMap(([rows]) => rows).filter(({ status }) => status === 'failed');
      expect(stored).toMatchObject([
        {
          id: 'b',
          cause: 'step_failed',
          error_message: 'the outcome of the run could not be stored: unsupported Unicode escape\ufffd',
          result: null,
          failed: true,
          retry_seconds: null,
          wait_seconds: null,
          seen_decisions: null,
        },
        { id: 'd' },
      ]);
    });

    it('records every other outcome once while it is halved', async () => {
      const { finish, add } = setup();
      const committed: string[] = [];
      finish.mockImplementation(async (rows) => {
        const finished = await refusePoison(rows);
        committed.push(...rows.map(({ id }) => id));
        return finished;
      });
      add(...[...'abcdefg'].map((id) => (id === 'c' ? poison(id) : outcome(id))));
      await advance();
      expect(committed.sort().join('')).toBe('abcdefg');
    });

    it('rejects when even the failure is refused', async () => {
      const { finish, add } = setup();
      finish.mockImplementation(async () => {
        throw sqlError('23514', 'violates check constraint');
      });
      const seen = add(outcome('a'));
      await advance();
      expect(seen[0]).toMatchObject({ state: 'rejected', value: { code: '23514' } });
      expect(finish.mock.calls.length).toBeLessThan(5);
    });

    it('is found before it shares a statement where JSON cannot say it', async () => {
      const { finish, add } = setup();
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      const seen = add(outcome('a', { result: circular }), outcome('b', { result: { n: 1n } }), outcome('c'));
      await advance();
      expect((values(seen) as Finished[]).map(({ status }) => status)).toEqual(['failed', 'failed', 'completed']);
      expect(finish).toHaveBeenCalledTimes(1);
    });
  });

  it('writes what a run has noted of its steps with its outcome, and bare where that is refused', async () => {
    const { add, finish } = setup();
    const note = { position: 0, name: 'plan', type: 'bash', status: 'completed', outputs: { a: 'b' } } as const;
    finish.mockImplementation(async (rows) => {
      if (JSON.stringify(rows).includes('"a":"b"')) throw sqlError('22P05');
      return rows.map(recorded);
    });
    add(outcome('a', { noted: { taskId: 'task-a', notes: [{ ...note, startedAt: performance.now() - 500 }] } }));
    await advance();
    const rows = finish.mock.calls.map(([[row]]) => row!);
    expect(rows.map(({ status }) => status)).toEqual(['completed', 'failed']);
    expect(rows.map(({ steps }) => steps)).toEqual(
      [{ a: 'b' }, null].map((outputs) => ({
        ...{ task_id: 'task-a', attempt: 1 },
        rows: [
          [0, 'plan', 'bash', 'completed', expect.any(Number), null, null, null, null, outputs, null, 1, null, null],
        ],
      })),
    );
  });
});
