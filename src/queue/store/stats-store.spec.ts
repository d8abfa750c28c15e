import { standIn } from '../../../test/support/queue-doubles.js';
import { readActive, readStats } from './counters.sql.js';
import type { QueueDatabase, Statement } from './queue-database.js';
import { StatsStore } from './stats-store.js';

function setup(rows: object[]) {
  const run = jest.fn<Promise<object[]>, [Statement, readonly unknown[]]>(async () => rows);
  return { store: new StatsStore(standIn<QueueDatabase>({ run })), run };
}

const ROW = {
  scheduled: 2,
  pending: 3,
  running: 4,
  waiting: 5,
  retrying: 6,
  completed: 7,
  failed: 8,
  cancelled: 9,
  tasks_enqueued: 100,
  tasks_started: 3,
  queue_time_ms: 100,
  promises_missed: 6,
  tasks_completed: 70,
  tasks_failed: 80,
  tasks_cancelled: 90,
  runs_ended: 8,
  execution_time_ms: 1_001,
  instances: 2,
  workers: 10,
  dead_letters: 6,
};

describe('StatsStore', () => {
  it('reads the numbers with one statement; delayed tasks and those between two attempts count together', async () => {
    const { store, run } = setup([ROW]);
    expect(await store.read()).toEqual({
      queue_size: 3,
      active_tasks: 4,
      workers: 10,
      instances: 2,
      scheduled_tasks: 8,
      waiting_tasks: 5,
      dead_letters: 6,
      tasks_enqueued: 100,
      tasks_completed: 70,
      tasks_failed: 80,
      tasks_cancelled: 90,
      promises_missed: 6,
      avg_queue_time_ms: 33.33,
      avg_execution_time_ms: 125.13,
    });
    expect(run.mock.calls).toEqual([[readStats, []]]);
  });

  it('says 0, and not NaN, for means over nothing', async () => {
    const { store } = setup([{ ...ROW, tasks_started: 0, runs_ended: 0 }]);
    expect(await store.read()).toMatchObject({ avg_queue_time_ms: 0, avg_execution_time_ms: 0 });
  });

  it('says 0 everywhere for a queue without counters', async () => {
    const { store } = setup([]);
    expect(new Set(Object.values(await store.read()))).toEqual(new Set([0]));
  });

  it('lists what runs, a thousand at most, and counts the rest too', async () => {
    const started = new Date();
    const { store, run } = setup([
      { task_id: 'task-a', app_name: 'shop', started_at: started, current_step: 'build', total: 2_500 },
      { task_id: 'task-b', app_name: 'blog', started_at: started, current_step: null, total: 2_500 },
    ]);
    expect(await store.readActive()).toEqual({
      count: 2_500,
      tasks: [
        { id: 'task-a', app_name: 'shop', started_at: started, current_step: 'build' },
        { id: 'task-b', app_name: 'blog', started_at: started, current_step: null },
      ],
    });
    expect(run.mock.calls).toEqual([[readActive, [1_000, null]]]);
  });

  it('counts 0 when nothing runs', async () => {
    expect(await setup([]).store.readActive()).toEqual({ count: 0, tasks: [] });
  });
});
