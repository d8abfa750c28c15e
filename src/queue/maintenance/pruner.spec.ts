import { advance, queueOptions, recordLogs, standIn, useFakeTime } from '../../../test/support/queue-doubles.js';
import type { RetentionStore } from '../store/retention-store.js';
import type { Heartbeat } from '../workers/heartbeat.js';
import { Pruner } from './pruner.js';

const FIRST = 10_000;
const HOUR = 3_600_000;
const MINUTE = 60_000;
const NOTHING = { removed: 0, next: undefined };

/** A pruner that notes in `trail` what it asks for. */
function setup(options: { taskRetentionDays?: number; ledgerRetentionDays?: number }) {
  const trail: string[] = [];
  const store = {
    tasks: jest.fn<Promise<object | undefined>, unknown[]>(async () => NOTHING),
    jobs: jest.fn<Promise<number | undefined>, unknown[]>(async () => 0),
    logWeeks: jest.fn<Promise<number | undefined>, unknown[]>(async () => 0),
    ledger: jest.fn<Promise<number | undefined>, unknown[]>(async () => 0),
  };
  const noted = Object.fromEntries(
    Object.entries(store).map(([name, work]) => [
      name,
      (...given: unknown[]) => {
        trail.push(name);
        return work(...given);
      },
    ]),
  );
  const heartbeat = standIn<Heartbeat>({ instanceId: 'me' });
  const subject = new Pruner(standIn<RetentionStore>(noted), heartbeat, queueOptions(options));
  return { subject, trail, ...store };
}

describe('Pruner', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    jest.setSystemTime(Date.UTC(2026, 0, 31));
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('does nothing where all is kept for ever', async () => {
    const { subject, trail } = setup({});
    subject.start();
    await advance(2 * HOUR);
    expect(trail).toEqual([]);
    await subject.stop();
  });

  it('goes through all that can be too old soon after the start, and then every hour', async () => {
    const { subject, trail, tasks, jobs, ledger } = setup({ taskRetentionDays: 30, ledgerRetentionDays: 60 });
    subject.start();
    await advance(FIRST + 100);
    expect(trail).toEqual(['tasks', 'jobs', 'logWeeks', 'ledger']);
    expect(tasks).toHaveBeenCalledWith(30, undefined, expect.any(Number), 'pruner:me');
    expect(jobs).toHaveBeenCalledWith(30, expect.any(Number));
    expect(ledger).toHaveBeenCalledWith(expect.any(Date), 'pruner:me');
    expect((ledger.mock.calls[0]![0] as Date).toISOString()).toMatch(/^2025-12-02T00:00:1/);
    await advance(HOUR - 10_000);
    expect(trail).toHaveLength(4);
    await advance(20_000);
    expect(trail).toHaveLength(8);
    await subject.stop();
  });

  it('keeps apart what is kept for ever', async () => {
    const one = setup({ taskRetentionDays: 30 });
    const two = setup({ ledgerRetentionDays: 60 });
    for (const { subject } of [one, two]) subject.start();
    await advance(FIRST + 100);
    expect(one.trail).toEqual(['tasks', 'jobs', 'logWeeks']);
    expect(two.trail).toEqual(['ledger']);
    for (const { subject } of [one, two]) await subject.stop();
  });

  it('goes on batch by batch where the last one ended, and rests in between', async () => {
    const { subject, trail, tasks, ledger } = setup({ taskRetentionDays: 30, ledgerRetentionDays: 60 });
    const next = { at: '2025-01-01', id: '7' };
    tasks.mockImplementationOnce(
      () => new Promise((resolve) => setTimeout(() => resolve({ removed: 200, next }), 1_000)),
    );
    ledger.mockResolvedValueOnce(4);
    subject.start();
    await advance(FIRST + 1_000 + 4_900);
    expect(trail).toEqual(['tasks']);
    await advance(200);
    expect(tasks).toHaveBeenLastCalledWith(30, next, expect.any(Number), 'pruner:me');
    expect(trail).toEqual(['tasks', 'tasks', 'jobs', 'logWeeks', 'ledger', 'ledger']);
    await subject.stop();
  });

  it('leaves the round to another instance that is at it', async () => {
    const { subject, trail, tasks } = setup({ taskRetentionDays: 30 });
    tasks.mockResolvedValueOnce(undefined);
    subject.start();
    await advance(FIRST + MINUTE);
    expect(trail).toEqual(['tasks']);
    await advance(HOUR);
    expect(trail).toEqual(['tasks', 'tasks', 'jobs', 'logWeeks']);
    await subject.stop();
  });

  it('tries again in silence while somebody is in the way for a moment', async () => {
    const { subject, trail, ledger } = setup({ ledgerRetentionDays: 60 });
    ledger.mockRejectedValueOnce({ code: '55P03' }).mockRejectedValueOnce({ code: 'TP004' });
    subject.start();
    await advance(FIRST + 2 * MINUTE + 100);
    expect(trail).toEqual(['ledger', 'ledger', 'ledger']);
    expect(logs).toEqual([]);
    await subject.stop();
  });

  it('says what is in the way for long, and does the rest meanwhile', async () => {
    const { subject, trail, ledger } = setup({ taskRetentionDays: 30, ledgerRetentionDays: 60 });
    ledger.mockRejectedValue(Object.assign(new Error('not sealed yet'), { code: 'TP004' }));
    subject.start();
    await advance(FIRST + 10 * MINUTE);
    expect(logs).toEqual([
      { level: 'warn', msg: 'What is too old cannot be removed', what: 'ledger', error: 'Error: not sealed yet' },
    ]);
    await advance(HOUR + MINUTE);
    expect(trail.filter((name) => name === 'tasks')).toHaveLength(2);
    expect(logs).toHaveLength(1);
    ledger.mockResolvedValue(0);
    await advance(10 * MINUTE);
    expect(logs.at(-1)).toEqual({ level: 'log', msg: 'What is too old is removed again', what: 'ledger' });
    await subject.stop();
  });

  it('goes on behind what fails', async () => {
    const { subject, trail, jobs } = setup({ taskRetentionDays: 30 });
    jobs.mockRejectedValueOnce(new Error('no'));
    subject.start();
    await advance(FIRST + MINUTE + 100);
    expect(trail).toEqual(['tasks', 'jobs', 'logWeeks']);
    expect(logs).toMatchObject([{ level: 'warn', what: 'jobs', error: 'Error: no' }]);
    await advance(HOUR);
    expect(logs.at(-1)).toMatchObject({ level: 'log', what: 'jobs' });
    await subject.stop();
  });

  it('waits for the batch under way when it stops, and begins no more', async () => {
    const { subject, trail, tasks } = setup({ taskRetentionDays: 30 });
    let done: (found: object) => void = () => undefined;
    tasks.mockImplementationOnce(() => new Promise((resolve) => (done = resolve)));
    subject.start();
    await advance(FIRST);
    let stopped = false;
    const stopping = subject.stop().then(() => (stopped = true));
    await advance(1_000);
    expect(stopped).toBe(false);
    done(NOTHING);
    await stopping;
    await advance(2 * HOUR);
    expect(trail).toEqual(['tasks']);
  });
});
