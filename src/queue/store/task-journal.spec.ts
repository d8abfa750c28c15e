import {
  aClaimedTask,
  advance,
  databaseAway,
  deferred,
  mockSleep,
  sqlError,
  standIn,
  useFakeTime,
  watch,
} from '../../../test/support/queue-doubles.js';
import { LeaseLostError, type AbortReason, type RunJournal, type RunLease } from '../task-handler.js';
import type { QueueDatabase, Statement } from './queue-database.js';
import { appendLog, beginSteps, loggedBytes, closeSteps, writeSteps } from './steps.sql.js';

mockSleep();
const { TaskJournal } = await import('./task-journal.js');

const TASK = aClaimedTask({ id: '7', taskId: 'task-7', leaseToken: 'token-7', attempt: 3 });
const FENCE = ['7', 'token-7', 'worker:me', 'task-7'];

const STEPS = ['build', 'ship', 'tell', 'last'].map((name) => ({ name, type: 'bash' }));
/** What `writeSteps` gets of a step that says nothing but its state. */
const PLAIN = [null, null, null, null, null, 1, null, null];

function setup({ leaseMs = 10_000, attempt = 1, begun = true } = {}) {
  const lease = { until: performance.now() + leaseMs };
  const run = jest.fn<Promise<unknown[]>, [Statement, readonly unknown[]]>(async () => [{}]);
  const onLost = jest.fn();
  const stop: { reason?: AbortReason } = {};
  const journal = new TaskJournal(
    standIn<QueueDatabase>({ run }),
    { ...TASK, attempt },
    standIn<RunLease>({ deadline: () => lease.until }),
    'worker:me',
    onLost,
    () => stop.reason,
  );
  /** The steps of each `writeSteps`. */
  const written = () => run.mock.calls.map(([, values]) => JSON.parse(values[5] as string) as unknown[][]);
  if (begun) void journal.beginSteps(STEPS);
  return { journal, run, lease, onLost, stop, written };
}

describe('TaskJournal', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('numbers the steps from 0 in the order given, under the lease and the attempt of the run', async () => {
    const { journal, run } = setup({ attempt: 3, begun: false });
    await journal.beginSteps([
      { name: 'build', type: 'bash', keep: true },
      { name: 'ship', type: 'http' },
    ]);
    const [statement, values] = run.mock.calls[0]!;
    expect(statement).toBe(beginSteps);
    expect(values.slice(0, 5)).toEqual([...FENCE, 3]);
    expect(JSON.parse(values[5] as string)).toEqual([
      { position: 0, name: 'build', type: 'bash', keep: true },
      { position: 1, name: 'ship', type: 'http', keep: false },
    ]);
    expect(values[6]).toBe(2);
  });

  it('writes what is noted of steps within 25 ms, all of it at once', async () => {
    const { journal, run, written } = setup();
    const started = watch(journal.startStep(0));
    await advance(24);
    expect(run).not.toHaveBeenCalled();
    await advance(1);
    expect(started.state).toBe('resolved');
    expect(run.mock.calls).toEqual([[writeSteps, [...FENCE, 1, expect.any(String)]]]);
    expect(written()).toEqual([
      [
        [0, 'build', 'bash', 'running', 0.025, null, null, ...PLAIN.slice(1)],
        ...STEPS.slice(1).map(({ name, type }, n) => [
          n + 1,
          name,
          type,
          'pending',
          null,
          null,
          null,
          ...PLAIN.slice(1),
        ]),
      ].map((row) => row.concat(Array(14 - row.length).fill(null))),
    ]);
  });

  it('writes at once when asked to, and a start with its end', async () => {
    const { journal, written } = setup();
    void journal.startStep(1);
    await advance(10);
    void journal.finishStep(1, {
      status: 'completed',
      exitCode: 0,
      outputs: { url: 'x' },
      variables: { A: 'b' },
      tries: 2,
    });
    void journal.skipSteps([{ position: 2, cause: 'condition', why: 'no' }]);
    void journal.waitStep(3, { count: 2 }, 60);
    await journal.flush();
    expect(written()).toEqual([
      [
        [0, 'build', 'bash', 'pending', null, null, null, null, null, null, null, 1, null, null],
        [1, 'ship', 'bash', 'completed', 0.01, 0, 0, null, null, { url: 'x' }, { A: 'b' }, 2, null, null],
        [2, 'tell', 'bash', 'skipped', null, 0, null, 'condition', 'no', null, null, 1, null, null],
        [3, 'last', 'bash', 'waiting', 0, null, null, null, null, null, null, 1, { count: 2 }, 60],
      ],
    ]);
    await journal.flush();
    await advance(100);
    expect(written()).toHaveLength(1);
  });

  it('hands over what is not written, once', async () => {
    const { journal, run } = setup();
    void journal.startStep(0);
    expect(await journal.takeNotes()).toMatchObject([{ position: 0, status: 'running' }, {}, {}, {}]);
    expect(await journal.takeNotes()).toEqual([]);
    await advance(100);
    expect(run).not.toHaveBeenCalled();
    expect(setup({ begun: false }).journal.takeNotes()).toBeUndefined();
  });

  it('keeps what a first run has stored where it begins its steps a second time', async () => {
    const { journal, run } = setup();
    await advance(25);
    void journal.beginSteps(STEPS.map((step) => ({ ...step, keep: true })));
    await advance();
    expect(run.mock.calls.map(([statement]) => statement)).toEqual([writeSteps, beginSteps]);
  });

  it('writes nothing of a later run before its steps are noted', async () => {
    const { journal, run } = setup({ attempt: 2, begun: false });
    const slow = deferred<unknown[]>();
    run.mockReturnValueOnce(slow.promise);
    void journal.beginSteps(STEPS);
    void journal.startStep(0);
    const flushed = watch(journal.flush());
    await advance(100);
    expect(run.mock.calls.map(([statement]) => statement)).toEqual([beginSteps]);
    slow.resolve([{}]);
    await advance();
    expect(flushed.state).toBe('resolved');
    expect(run.mock.calls.map(([statement]) => statement)).toEqual([beginSteps, writeSteps]);
  });

  it('writes the steps beside the first output, without waiting', async () => {
    const { journal, run } = setup();
    run.mockImplementation(({ name }) =>
      name === appendLog.name ? Promise.resolve([{}]) : new Promise(() => undefined),
    );
    await journal.appendLog([{ step: 'a', stream: 'stdout', chunk: Buffer.from('1') }]);
    expect(new Set(run.mock.calls.map(([statement]) => statement))).toEqual(new Set([appendLog, writeSteps]));
  });

  it('turns chunks of output into columns of one length', async () => {
    const { journal, run } = setup({ begun: false });
    await journal.appendLog([
      { step: 'a', stream: 'stdout', chunk: Buffer.from('1') },
      { step: 'b', stream: 'stderr', chunk: Buffer.from('2') },
    ]);
    expect(run.mock.calls).toEqual([
      [appendLog, [...FENCE, 1, ['a', 'b'], ['stdout', 'stderr'], [Buffer.from('1'), Buffer.from('2')]]],
    ]);
  });

  it.each([
    ['startStep', (journal: RunJournal) => journal.startStep(0)],
    ['finishStep', (journal: RunJournal) => journal.finishStep(0, { status: 'completed' })],
    ['flush', (journal: RunJournal) => journal.flush()],
    [
      'appendLog',
      (journal: RunJournal) => journal.appendLog([{ step: 'a', stream: 'stdout', chunk: Buffer.from('x') }]),
    ],
  ])('%s rejects with LeaseLostError when no row answers, and the run is told', async (_, write) => {
    const { journal, run, onLost } = setup();
    run.mockResolvedValue([]);
    const written = watch(write(journal));
    await advance(25);
    expect(written.value).toBeInstanceOf(LeaseLostError);
    expect(onLost).toHaveBeenCalled();
  });

  it('writes texts that PostgreSQL cannot store with a mark in their place', async () => {
    const { journal, written } = setup();
    const words = { errorMessage: 'a\0b', cause: '\ud800', outputs: { 'k\0': 'v\udc00' } };
    void journal.finishStep(0, { status: 'failed', ...words });
    await journal.flush();
    expect(written()[0]![0]!.slice(7, 10)).toEqual(['\ufffd', 'a\ufffdb', { 'k\ufffd': 'v\ufffd' }]);
  });

  it('takes no step left to close for no loss of the lease', async () => {
    const { journal, run } = setup({ begun: false });
    run.mockResolvedValue([]);
    await expect(journal.closeSteps('cancelled')).resolves.toBeUndefined();
    expect(run.mock.calls).toEqual([[closeSteps, [...FENCE, 'cancelled']]]);
    const other = setup();
    other.run.mockResolvedValue([]);
    await expect(other.journal.closeSteps('cancelled')).resolves.toBeUndefined();
  });

  it('reads the bytes stored so far by the task, whoever stored them', async () => {
    const { journal, run } = setup({ begun: false });
    run.mockResolvedValueOnce([{ bytes: 4_096 }]).mockResolvedValueOnce([]);
    expect(await journal.loggedBytes()).toBe(4_096);
    expect(await journal.loggedBytes()).toBe(0);
    expect(run.mock.calls[0]).toEqual([loggedBytes, ['task-7']]);
  });

  it('repeats a write while the database is away and the lease lasts', async () => {
    const { journal, run } = setup();
    run.mockRejectedValueOnce(databaseAway()).mockRejectedValueOnce(sqlError('57P03'));
    const write = watch(journal.flush());
    await advance(499);
    expect(run).toHaveBeenCalledTimes(1);
    await advance(1);
    expect(run).toHaveBeenCalledTimes(2);
    await advance(500);
    expect(write.state).toBe('resolved');
    expect(run.mock.calls).toEqual(Array(3).fill(run.mock.calls[0]));
  });

  it.each([
    ['the steps', (journal: RunJournal) => journal.storedSteps()],
    ['the bytes of output', (journal: RunJournal) => journal.loggedBytes()],
  ])('repeats the reading of %s while the database is away and the lease lasts', async (_, read) => {
    const { journal, run, lease } = setup({ begun: false });
    run.mockRejectedValueOnce(databaseAway()).mockResolvedValueOnce([]);
    const seen = watch(read(journal));
    await advance(500);
    expect(seen.state).toBe('resolved');
    run.mockRejectedValue(databaseAway());
    lease.until = performance.now();
    const late = watch(read(journal));
    await advance(500);
    expect(late.value).toBeInstanceOf(LeaseLostError);
  });

  it('asks the lease anew each time: a renewal meanwhile lets the write go on', async () => {
    const { journal, run, lease } = setup({ leaseMs: 600 });
    run.mockRejectedValue(databaseAway());
    const write = watch(journal.flush());
    await advance(550);
    lease.until = performance.now() + 10_000;
    await advance(1_000);
    expect(write.state).toBe('pending');
    run.mockResolvedValue([{}]);
    await advance(500);
    expect(write.state).toBe('resolved');
  });

  it('gives up with LeaseLostError when the lease is over', async () => {
    const { journal, run } = setup({ leaseMs: 1_200 });
    run.mockRejectedValue(databaseAway());
    const write = watch(journal.flush());
    await advance(1_000);
    expect(write.state).toBe('pending');
    await advance(500);
    expect(write.value).toBeInstanceOf(LeaseLostError);
    expect(run).toHaveBeenCalledTimes(4);
  });

  it.each(['57014', '53200', '58030'])('does not repeat without end what may be too much: %s', async (code) => {
    const { journal, run } = setup({ leaseMs: 3_600_000 });
    for (let n = 0; n < 4; n++) run.mockRejectedValueOnce(sqlError(code));
    const slow = watch(journal.flush());
    await advance(2_000);
    expect(slow.state).toBe('resolved');
    run.mockRejectedValue(sqlError(code));
    void journal.startStep(0);
    const tooMuch = watch(journal.flush());
    await advance(2_000);
    expect(tooMuch).toMatchObject({ state: 'rejected', value: { code } });
    expect(run).toHaveBeenCalledTimes(10);
  });

  it('gives up what may be too much when the run is told to stop meanwhile, and begins it when it was told before', async () => {
    const { journal, run, stop } = setup();
    run.mockRejectedValue(sqlError('57014'));
    const write = watch(journal.flush());
    await advance(500);
    stop.reason = 'cancelled';
    await advance(500);
    expect(write).toMatchObject({ state: 'rejected', value: { code: '57014' } });
    run.mockReset().mockRejectedValueOnce(sqlError('57014')).mockResolvedValue([{}]);
    const closed = watch(journal.closeSteps('cancelled'));
    await advance(500);
    expect(closed.state).toBe('resolved');
  });

  it('waits for no database once the lease is known to be lost', async () => {
    const { journal, run, stop } = setup({ leaseMs: 3_600_000 });
    run.mockRejectedValue(databaseAway());
    const write = watch(journal.flush());
    await advance(500);
    stop.reason = 'lost';
    await advance(500);
    expect(write.value).toBeInstanceOf(LeaseLostError);
  });

  it('repeats no write that was refused; what it should store goes with the next, unless it is said anew', async () => {
    const { journal, run, written } = setup();
    const refused = sqlError('22P05');
    run.mockRejectedValueOnce(refused);
    void journal.startStep(2);
    void journal.finishStep(2, { status: 'completed', outputs: { a: 'b' } });
    await expect(journal.flush()).rejects.toBe(refused);
    await advance(100);
    expect(run).toHaveBeenCalledTimes(1);
    void journal.finishStep(2, { status: 'cancelled', cause: 'step_failed' });
    await journal.flush();
    expect(written()[1]).toHaveLength(4);
    expect(written()[1]![2]).toEqual([
      ...[2, 'tell', 'bash', 'cancelled', 0.1, 0, null, 'step_failed'],
      ...[null, null, null, 1, null, null],
    ]);
  });

  it('has one write of steps under way, and the next takes all that came meanwhile', async () => {
    const { journal, run, written } = setup();
    const slow = deferred<unknown[]>();
    run.mockReturnValueOnce(slow.promise);
    const first = watch(journal.flush());
    void journal.startStep(0);
    const second = watch(journal.flush());
    const third = watch(journal.startStep(1));
    await advance(100);
    expect([first.state, second.state, run.mock.calls.length]).toEqual(['pending', 'pending', 1]);
    const rest = watch(setup().journal.flush());
    slow.resolve([{}]);
    await advance();
    expect([first.state, second.state, third.state, rest.state]).toEqual(Array(4).fill('resolved'));
    expect(written()[1]!.map(([position, , , status]) => [position, status])).toEqual([
      [0, 'running'],
      [1, 'running'],
    ]);
  });

  it('hands over nothing before the write under way has ended', async () => {
    const { journal, run } = setup();
    const slow = deferred<unknown[]>();
    run.mockReturnValueOnce(slow.promise);
    void journal.flush();
    void journal.startStep(0);
    const taken = watch(journal.takeNotes()!);
    await advance(100);
    expect(taken.state).toBe('pending');
    slow.resolve([{}]);
    await advance(100);
    expect(taken.value).toMatchObject([{ position: 0, status: 'running' }]);
    expect(run).toHaveBeenCalledTimes(1);
  });
});
