import {
  aClaimedTask,
  advance,
  mockSleep,
  queueOptions,
  recordLogs,
  standIn,
  useFakeTime,
} from '../../../test/support/queue-doubles.js';
import { MetricsCollector } from '../metrics-collector.js';
import type { JournalStore } from '../store/journal-store.js';
import type { Company } from '../store/task-changes.js';
import type { TaskStore } from '../store/task-store.js';
import type { ClaimedTask, TaskHandler, TaskOutcome, TaskRun } from '../task-handler.js';
import type { Heartbeat } from './heartbeat.js';
import type { StatusBatcher } from './status-batcher.js';
import type { WakeUps } from './wake-ups.js';

mockSleep();
const { WorkerPool } = await import('./worker-pool.js');
const { Claimer } = await import('./claimer.js');

const MINUTE = 60_000;
const LEASE = 30_000;

/** A claimer and its pool over a queue in memory. Each task lasts as long as it is told to. */
function setup({ workers = 10, prefetch = 0 }: { workers?: number; prefetch?: number } = {}) {
  const lasts = new Map<string, number>();
  const ready: ClaimedTask[] = [];
  const leased = new Map<string, ClaimedTask>();
  const begun: string[] = [];
  const together: string[][] = [];
  const running = new Set<string>();
  let handedBack = 0;
  let count = 0;
  const byPromise = (a: ClaimedTask, b: ClaimedTask) => a.startBy - b.startBy || Number(a.id) - Number(b.id);
  /** They are promised to start at the time at which they are added, unless told otherwise. */
  const add = (name: string, tasks: number, { ms = 10, ...changes }: Partial<ClaimedTask> & { ms?: number } = {}) => {
    for (let n = 1; n <= tasks; n++) {
      const taskId = `${name}${n}`;
      lasts.set(taskId, ms);
      ready.push(aClaimedTask({ id: String(++count), taskId, startBy: Date.now(), ...changes }));
    }
    claimer.wake();
  };
  const claim = async (limit: number, _me: string, leaseToken: string, floor: number, { goRound }: Company) => {
    const isFree = ({ alone, startBy }: ClaimedTask) =>
      startBy >= floor && !(alone && (goRound === 'all' || (goRound === 'early' && startBy > Date.now())));
    const tasks = ready.filter(isFree).sort(byPromise).slice(0, limit);
    return tasks.map((task) => {
      ready.splice(ready.indexOf(task), 1);
      leased.set(task.id, task);
      return { ...task, leaseToken };
    });
  };
  const handBack = async (runs: { id: string }[]) => {
    handedBack += runs.length;
    for (const { id } of runs) ready.push(leased.get(id)!);
    return runs;
  };
  const handle = async ({ task: { taskId } }: TaskRun): Promise<TaskOutcome> => {
    begun.push(taskId);
    running.add(taskId);
    together.push([...running]);
    await new Promise((resolve) => lasts.get(taskId) === Infinity || setTimeout(resolve, lasts.get(taskId)));
    running.delete(taskId);
    return { status: 'completed' };
  };
  const heartbeat = standIn<Heartbeat>({ instanceId: 'me', alive: true });
  const options = queueOptions({ workers, prefetch, leaseSeconds: LEASE / 1_000 });
  const statuses = {
    start: () => ({ mine: Promise.resolve(true), withdraw: () => false, begunAt: 0 }),
    finish: async ({ id, status }: { id: string; status: string }) => ({
      id,
      attempt: 1,
      status,
      execution_time_ms: 1,
    }),
  };
  const store = standIn<TaskStore>({ claim, prefetch: claim, handBackUnlocked: handBack });
  const pool = new WorkerPool(
    standIn<TaskHandler>({ handle }),
    store,
    standIn<JournalStore>({ journalOf: () => ({ takeNotes: () => undefined }) }),
    standIn<StatusBatcher>(statuses),
    heartbeat,
    new MetricsCollector(),
    standIn<WakeUps>({ sendReady: () => undefined }),
    options,
  );
  const claimer = new Claimer(store, pool, heartbeat, options);
  claimer.start();
  const begunOf = (name: string) => begun.filter((id) => id.startsWith(name)).length;
  return { add, begun, begunOf, together, running, handedBack: () => handedBack };
}

describe.each([0, 20])('tasks that run alone, with a prefetch of %d', (prefetch) => {
  beforeEach(() => {
    useFakeTime();
    recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('do not wait for a run that does not end, nor do others for them', async () => {
    const { add, begunOf, running } = setup({ prefetch });
    add('endless', 1, { ms: Infinity });
    await advance(100);
    add('suspect', 1, { alone: true, startBy: 0 });
    await advance(1_000);
    add('other', 20);
    await advance(LEASE / 2);
    expect(begunOf('suspect')).toBe(0);
    await advance(LEASE / 2 + 5_000);
    expect([begunOf('suspect'), begunOf('other')]).toEqual([1, 20]);
    expect([...running]).toEqual(['endless1']);
  });

  it('that do not end keep others out for a minute', async () => {
    const { add, begun, begunOf } = setup({ prefetch });
    add('suspect', 1, { alone: true, ms: Infinity });
    await advance(100);
    add('other', 20);
    await advance(MINUTE - 1_000);
    expect(begun).toEqual(['suspect1']);
    await advance(5_000);
    expect(begunOf('other')).toBe(20);
  });

  it('let others go first after each of them, however many there are', async () => {
    const { add, begun, begunOf, together, handedBack } = setup({ prefetch });
    add('suspect', 100, { alone: true, startBy: 0 });
    add('other', 200);
    await advance(20_000);
    expect(begunOf('other')).toBe(200);
    expect(begun.findLastIndex((id) => id.startsWith('other'))).toBeLessThan(210);
    // Then they have the instance, each in its turn.
    await advance(20_000);
    expect(begunOf('suspect')).toBe(100);
    expect(new Set(begun).size).toBe(300);
    for (const names of together) if (names.some((id) => id.startsWith('suspect'))) expect(names).toHaveLength(1);
    expect(handedBack()).toBeLessThan(100);
  });

  it('have their turn as well where others never cease', async () => {
    const { add, begunOf } = setup({ workers: 3, prefetch });
    add('suspect', 20, { alone: true, startBy: 0 });
    for (let second = 0; second < 120; second++) {
      add(`other${second}-`, 4, { ms: 900 });
      await advance(1_000);
    }
    expect(begunOf('suspect')).toBeGreaterThan(3);
    expect(begunOf('other')).toBeGreaterThan(200);
  });

  it('leave others half of the time at least, if each of them takes all it can get', async () => {
    const { add, begunOf, handedBack } = setup({ prefetch });
    add('suspect', 5, { alone: true, ms: Infinity, startBy: 0 });
    let others = 0;
    for (let second = 0; second < 600; second++) {
      add(`other${second}-`, 1);
      await advance(1_000);
      if (second === 299) others = begunOf('other');
    }
    expect(begunOf('suspect')).toBe(5);
    expect(others).toBeGreaterThan(100);
    expect(begunOf('other')).toBe(600);
    expect(handedBack()).toBeLessThan(100);
  });
});
