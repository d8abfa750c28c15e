import { aTask, failure, startQueue } from '../support/queue-harness.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { becomesSound } from './oracle.js';
import { report } from './round.js';

const FAILING = 10_000;
/** What a stampede would be: most of them within one of the hundred parts of the time to the last. */
const PARTS = 100;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

it('10,000 tasks that fail at once come back spread over their whole backoff', async () => {
  const query = database.query.bind(database);
  const behaviour = async (run: { task: { attempt: number } }) =>
    run.task.attempt === 1 ? failure('all at once') : ({ status: 'completed' } as const);
  const instance = await startQueue(database.url, { behaviour, workers: 50, leaseSeconds: 30 });
  try {
    const tasks = Array.from({ length: FAILING }, () => aTask({ maxAttempts: 2 }));
    await instance.queue.enqueueMany(tasks);
    const count = async () =>
      (await query(`SELECT count(*)::int AS n FROM queue_tasks WHERE status = 'completed'`))[0]!.n;
    await until('all have ended', async () => (await count()) === FAILING, { timeoutMs: 120_000, everyMs: 100 });
    await becomesSound(query);
    // Each delay, as it was rolled: from the failure to the time at which the next attempt was due.
    const rows = await query(`
      SELECT width_bucket(extract(epoch FROM t.run_at - f.at)::float8, 0, 5, ${PARTS}) AS part, count(*)::int AS n
      FROM queue_tasks t JOIN queue_task_events f ON f.task_id = t.task_id AND f.to_status = 'retrying'
      GROUP BY 1`);
    const fullest = Math.max(...rows.map(({ n }) => n as number));
    report('all fail at once', { tasks: FAILING, most_in_a_hundredth_of_the_backoff: fullest });
    expect(instance.handler.runs.length).toBe(2 * FAILING);
    expect(fullest).toBeLessThan((FAILING / PARTS) * 2);
  } finally {
    await instance.close();
  }
});
