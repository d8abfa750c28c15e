import { aTask, SteeredHandler, type Behaviour } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();

describe.each([2, 4])('%i instances', (count) => {
  it('share 300 tasks: each is run once, and all take part', async () => {
    // The first runs of each instance wait until every instance has one.
    const busy = new Set<SteeredHandler>();
    const behaviourOf = (handler: () => SteeredHandler): Behaviour => {
      return async () => {
        busy.add(handler());
        await until('all instances are busy', () => busy.size === count);
        return { status: 'completed' };
      };
    };
    const instances = await Promise.all(
      Array.from({ length: count }, () => {
        const handler: SteeredHandler = new SteeredHandler(behaviourOf(() => handler));
        return fixture.start({ workers: 3, handler });
      }),
    );
    const { queue } = instances[0]!;
    const enqueued = await Promise.all(
      Array.from({ length: 300 }, (_, n) => instances[n % count]!.queue.enqueue(aTask({ appName: `app-${n % 7}` }))),
    );
    const ids = enqueued.map(({ taskId }) => taskId);
    await fixture.allBecome(ids, 'completed');

    const runs = instances.flatMap(({ handler }) => handler.runs.map(({ task }) => task.taskId));
    expect(runs).toHaveLength(300);
    expect(new Set(runs)).toEqual(new Set(ids));
    expect(instances.every(({ handler }) => handler.runs.length > 0)).toBe(true);
    for (const { handler, id, metrics } of instances) {
      const sql = 'SELECT count(*)::int AS n FROM queue_tasks WHERE instance = $1 AND attempt = 1';
      expect(await fixture.query(sql, [id])).toEqual([{ n: handler.runs.length }]);
      expect(metrics.snapshot().lost).toBe(0);
    }
    expect(await queue.getStats()).toMatchObject({ instances: count, workers: 3 * count, tasks_completed: 300 });
    const transitions = await fixture.query(
      `SELECT to_status, count(*)::int AS n FROM queue_task_events GROUP BY 1 ORDER BY 1`,
    );
    expect(transitions).toEqual(['completed', 'pending', 'running'].map((to_status) => ({ to_status, n: 300 })));
  });
});

it('an instance that leaves in the middle loses nothing, and nothing is run twice to its end', async () => {
  const gate = fixture.gate();
  const leaving = await fixture.start({ workers: 4, behaviour: gate.hold, shutdownGraceSeconds: 0.05 });
  const enqueued = await leaving.queue.enqueueMany(Array.from({ length: 60 }, () => aTask()));
  await leaving.handler.run(4);
  const staying = await fixture.start({ workers: 4 });
  await leaving.close();
  const ids = enqueued.map(({ taskId }) => taskId);
  await fixture.allBecome(ids, 'completed');
  expect(staying.handler.counts.size).toBe(60);
  expect(await fixture.query(`SELECT count(*)::int AS n FROM queue_task_events WHERE to_status = 'completed'`)).toEqual(
    [{ n: 60 }],
  );
  expect(await fixture.query('SELECT count(*)::int AS n FROM queue_tasks WHERE attempt = 2')).toEqual([{ n: 4 }]);
});
