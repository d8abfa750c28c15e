import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { aTask, completes, failure, untilAborted, type Behaviour } from '../../support/queue-harness.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';

const FILE = resolve('../shared/queries.sql');
const fixture = useQueue();

/** The statements, each known by the words that make it different from the others. */
function statements(): string[] {
  return readFileSync(FILE, 'utf8')
    .replace(/--.*$/gm, '')
    .split(';')
    .map((text) => text.trim())
    .filter((text) => text !== '');
}

/** Tasks in all states that the engine reaches; two minutes of waiting and of work for those that ran. */
async function tasksInAllStates(): Promise<Record<string, string>> {
  const behaviours: Record<string, Behaviour> = {
    completed: completes,
    failed: async () => failure('no credentials'),
    retrying: async () => ({ ...failure('flaky'), retryInSeconds: 3600 }),
    running: untilAborted,
    long: untilAborted,
  };
  const { queue, handler } = await fixture.start({
    workers: 5,
    leaseSeconds: 600,
    behaviour: (run) => behaviours[run.task.appName]!(run),
  });
  const ids: Record<string, string> = {};
  for (const appName of Object.keys(behaviours)) {
    const task = aTask({ appName, maxAttempts: appName === 'retrying' ? 2 : 1 });
    ids[appName] = (await queue.enqueue(task)).taskId;
  }
  await handler.run(5);
  for (const status of ['completed', 'failed', 'retrying'] as const) await fixture.becomes(ids[status]!, status);
  ids.scheduled = (await queue.enqueue(aTask({ appName: 'scheduled', delaySeconds: 60 }))).taskId;
  // All workers but three are free: a task that stays pending needs a claim that finds none.
  const filler = [aTask({ appName: 'running' }), aTask({ appName: 'running' }), aTask({ appName: 'running' })];
  await queue.enqueueMany(filler);
  await handler.run(8);
  ids.pending = (await queue.enqueue(aTask({ appName: 'pending' }))).taskId;
  ids.cancelled = (await queue.enqueue(aTask({ appName: 'cancelled' }))).taskId;
  await queue.cancel(ids.cancelled, { actor: 'ada' });
  await fixture.query(`
    UPDATE queue_tasks SET enqueued_at = enqueued_at - interval '10 min', started_at = enqueued_at - interval '8 min',
      completed_at = CASE WHEN completed_at IS NOT NULL THEN enqueued_at - interval '6 min' END
    WHERE app_name IN ('completed', 'failed', 'long')`);
  return ids;
}

if (existsSync(FILE)) {
  describe('the queries that users run by hand', () => {
    it('run as they stand, and tell the truth', async () => {
      const ids = await tasksInAllStates();
      const sql = statements();
      expect(sql).toHaveLength(8);
      const [byStatus, queueTime, failed, running, latest, summary, failures, stuck] = (await Promise.all(
        sql.map((statement) => fixture.query(statement)),
      )) as [Row[], Row[], Row[], Row[], Row[], Row[], Row[], Row[]];

      expect(Object.fromEntries(byStatus.map(({ status, count }) => [status, Number(count)]))).toEqual({
        pending: 1,
        scheduled: 1,
        running: 5,
        retrying: 1,
        completed: 1,
        failed: 1,
        cancelled: 1,
      });

      // Three of eight waited two minutes, the others next to nothing.
      const average = Number(queueTime[0]!.avg_queue_time_ms);
      expect(average).toBeGreaterThan(0);
      expect(Math.abs(average - (120_000 * 3) / 8)).toBeLessThan(10_000);

      expect(failed).toEqual([await fixture.task(ids.failed!)]);
      expect(running).toHaveLength(5);
      expect(running[0]!.task_id).toBe(ids.long);
      expect(Number(running[0]!.duration_seconds)).toBeGreaterThanOrEqual(8 * 60);
      expect(running.every((row) => Number(row.duration_seconds) >= 0)).toBe(true);

      expect(latest).toHaveLength(5);
      expect(latest[0]).toMatchObject({ task_id: ids.cancelled, status: 'cancelled' });
      expect(Number(latest[0]!.total_time_ms)).toBeGreaterThanOrEqual(0);

      expect(summary[0]).toMatchObject({
        pending_tasks: '1',
        running_tasks: '5',
        completed_tasks: '1',
        failed_tasks: '1',
      });
      expect(Number(summary[0]!.avg_queue_time_ms)).toBeCloseTo(average, 3);
      expect(Number(summary[0]!.avg_execution_time_ms)).toBeCloseTo(120_000, 0);

      expect(failures).toMatchObject([
        {
          task_id: ids.failed,
          app_name: 'failed',
          error_message: 'no credentials',
          completed_at: failed[0]!.completed_at,
        },
      ]);
      expect(stuck.map((row) => row.task_id)).toEqual([ids.long]);
      expect(Number(stuck[0]!.runtime_minutes)).toBeGreaterThanOrEqual(8);
    });
  });
} else {
  it.skip(`the queries that users run by hand: skipped, since ${FILE} is not there`, () => undefined);
}
