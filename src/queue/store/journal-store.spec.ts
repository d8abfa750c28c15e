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
import { LeaseLostError, type RunJournal, type RunLease } from '../task-handler.js';
import type { QueueDatabase, Statement } from './queue-database.js';
import { appendLog, beginSteps, finishStep, loggedBytes, closeSteps, startStep } from './steps.sql.js';

mockSleep();
const { JournalStore } = await import('./journal-store.js');

const TASK = aClaimedTask({ id: '7', taskId: 'task-7', leaseToken: 'token-7', attempt: 3 });
const FENCE = ['7', 'token-7', 'worker:me', 'task-7'];

function setup({ leaseMs = 10_000 }: { leaseMs?: number } = {}) {
  const lease = { until: performance.now() + leaseMs };
  const run = jest.fn<Promise<unknown[]>, [Statement, readonly unknown[]]>(async () => [{}]);
  const journal = new JournalStore(standIn<QueueDatabase>({ run })).journalOf(
    TASK,
    standIn<RunLease>({ deadline: () => lease.until }),
    'worker:me',
  );
  return { journal, run, lease };
}

describe('JournalStore', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('numbers the steps from 0 in the order given, under the lease and the attempt of the run', async () => {
    const { journal, run } = setup();
    await journal.beginSteps([
      { name: 'build', type: 'bash' },
      { name: 'ship', type: 'http' },
    ]);
    const [statement, values] = run.mock.calls[0]!;
    expect(statement).toBe(beginSteps);
    expect(values.slice(0, 5)).toEqual([...FENCE, 3]);
    expect(JSON.parse(values[5] as string)).toEqual([
      { position: 0, name: 'build', type: 'bash', keep: false, start: false },
      { position: 1, name: 'ship', type: 'http', keep: false, start: false },
    ]);
    expect(values[6]).toBe(2);
  });

  it('stores what a step ended with, and null for what it did not say', async () => {
    const { journal, run } = setup();
    await journal.finishStep(1, { status: 'completed', exitCode: 0, outputs: { url: 'x' } });
    await journal.finishStep(2, { status: 'failed', cause: 'exit_code', errorMessage: 'exit code 1', outputs: {} });
    await journal.finishStep(3, { status: 'completed', variables: { A: 'b' }, tries: 2 });
    expect(run.mock.calls).toEqual([
      [finishStep, [...FENCE, 1, 'completed', 0, null, null, '{"url":"x"}', null, 1]],
      [finishStep, [...FENCE, 2, 'failed', null, 'exit_code', 'exit code 1', null, null, 1]],
      [finishStep, [...FENCE, 3, 'completed', null, null, null, null, '{"A":"b"}', 2]],
    ]);
  });

  it('turns chunks of output into columns of one length', async () => {
    const { journal, run } = setup();
    await journal.appendLog([
      { step: 'a', stream: 'stdout', chunk: Buffer.from('1') },
      { step: 'b', stream: 'stderr', chunk: Buffer.from('2') },
    ]);
    expect(run.mock.calls).toEqual([
      [appendLog, [...FENCE, 3, ['a', 'b'], ['stdout', 'stderr'], [Buffer.from('1'), Buffer.from('2')]]],
    ]);
  });

  it.each([
    ['beginSteps', (journal: RunJournal) => journal.beginSteps([{ name: 'a', type: 'b' }])],
    ['startStep', (journal: RunJournal) => journal.startStep(0)],
    ['finishStep', (journal: RunJournal) => journal.finishStep(0, { status: 'completed' })],
    [
      'appendLog',
      (journal: RunJournal) => journal.appendLog([{ step: 'a', stream: 'stdout', chunk: Buffer.from('x') }]),
    ],
  ])('%s rejects with LeaseLostError when no row answers', async (_, write) => {
    const { journal, run } = setup();
    run.mockResolvedValue([]);
    await expect(write(journal)).rejects.toThrow(LeaseLostError);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('writes texts that PostgreSQL cannot store with a mark in their place', async () => {
    const { journal, run } = setup();
    await journal.finishStep(0, {
      status: 'failed',
      errorMessage: 'a\0b',
      cause: '\ud800',
      outputs: { 'k\0': 'v\udc00' },
    });
    expect(run.mock.calls[0]![1].slice(4)).toEqual([
      ...[0, 'failed', null, '\ufffd', 'a\ufffdb', '{"k\ufffd":"v\ufffd"}'],
      ...[null, 1],
    ]);
  });

  it('takes no step left to close for no loss of the lease', async () => {
    const { journal, run } = setup();
    run.mockResolvedValue([]);
    await expect(journal.closeSteps('cancelled')).resolves.toBeUndefined();
    expect(run.mock.calls).toEqual([[closeSteps, [...FENCE, 'cancelled']]]);
  });

  it('reads the bytes stored so far by the task, whoever stored them', async () => {
    const { journal, run } = setup();
    run.mockResolvedValueOnce([{ bytes: 4_096 }]).mockResolvedValueOnce([]);
    expect(await journal.loggedBytes()).toBe(4_096);
    expect(await journal.loggedBytes()).toBe(0);
    expect(run.mock.calls[0]).toEqual([loggedBytes, ['task-7']]);
  });

  it('repeats a write while the database is away and the lease lasts', async () => {
    const { journal, run } = setup();
    run.mockRejectedValueOnce(databaseAway()).mockRejectedValueOnce(sqlError('57P03'));
    const write = watch(journal.startStep(2));
    await advance(499);
    expect(run).toHaveBeenCalledTimes(1);
    await advance(1);
    expect(run).toHaveBeenCalledTimes(2);
    await advance(500);
    expect(write.state).toBe('resolved');
    expect(run.mock.calls).toEqual(Array(3).fill([startStep, [...FENCE, 2]]));
  });

  it('asks the lease anew each time: a renewal meanwhile lets the write go on', async () => {
    const { journal, run, lease } = setup({ leaseMs: 600 });
    run.mockRejectedValue(databaseAway());
    const write = watch(journal.startStep(2));
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
    const write = watch(journal.startStep(2));
    await advance(1_000);
    expect(write.state).toBe('pending');
    await advance(500);
    expect(write.value).toBeInstanceOf(LeaseLostError);
    expect(run).toHaveBeenCalledTimes(4);
  });

  it('repeats no write that was refused', async () => {
    const { journal, run } = setup();
    const refused = sqlError('22P05');
    run.mockRejectedValue(refused);
    await expect(journal.startStep(2)).rejects.toBe(refused);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('does not let one write wait for another', async () => {
    const { journal, run } = setup();
    const slow = deferred<unknown[]>();
    run.mockReturnValueOnce(slow.promise);
    const first = watch(journal.startStep(0));
    await journal.startStep(1);
    expect(first.state).toBe('pending');
    slow.resolve([{}]);
    await advance();
    expect(first.state).toBe('resolved');
  });
});
