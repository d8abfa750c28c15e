import pg from 'pg';
import { TaskStore } from '../../src/queue/store/task-store.js';
import { aTask, startQueue } from '../support/queue-harness.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { becomesSound } from './oracle.js';
import { report } from './round.js';

/** How many pass while the transaction is open: 100,000 in a long round. */
const PASSING = Math.min(100_000, Number(process.env.CHAOS_PASSING ?? Number(process.env.CHAOS_TASKS ?? 400) * 25));
const BATCH = 10_000;
/** The promise of docs/guarantees.md; the machine's own mood is in it, so a short round only measures. */
const TIMES = 3;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

it('a transaction left open while many tasks pass does not make claims walk over what it keeps', async () => {
  const query = database.query.bind(database);
  const instance = await startQueue(database.url, { workers: 50, leaseSeconds: 30, capacity: Infinity });
  const store = instance.module.get(TaskStore);
  let times: number[] = [];
  for (const name of ['claim', 'prefetch'] as const) {
    const original = store[name].bind(store);
    store[name] = async (...args) => {
      const began = performance.now();
      const tasks = await original(...args);
      if (tasks.length > 0) times.push(performance.now() - began);
      return tasks;
    };
  }
  let passed = 0;
  /** The claims' p99 while so many tasks pass. */
  const pass = async () => {
    times = [];
    for (let left = PASSING; left > 0; left -= BATCH) {
      const tasks = Array.from({ length: Math.min(left, BATCH) }, () => aTask());
      await instance.queue.enqueueMany(tasks);
      passed += tasks.length;
    }
    const completed = async () => (await query(`SELECT sum(completed)::int AS n FROM queue_counters`))[0]!.n as number;
    await until('all have passed', async () => (await completed()) === passed, { timeoutMs: 300_000 });
    return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
  };

  const idle = new pg.Client({ connectionString: database.url });
  await idle.connect();
  try {
    await pass();
    const normal = await pass();
    await idle.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM queue_ready');
    const held = await pass();
    await idle.query('COMMIT');
    const ms = (time: number) => Number(time.toFixed(1));
    report('a transaction left open', {
      ...{ tasks: PASSING, claim_p99_ms: ms(normal), claim_p99_held_ms: ms(held), times: ms(held / normal) },
    });
    await becomesSound(query);
    if (PASSING === 100_000) expect(held).toBeLessThan(TIMES * normal);
  } finally {
    await idle.end();
    await instance.close();
  }
});
