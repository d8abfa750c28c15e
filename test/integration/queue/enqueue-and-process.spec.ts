import { createTestDatabase } from '../../support/test-database.js';
import { brokenInvariants } from '../../support/invariant.js';
import { aTask, startQueue } from '../../support/queue-harness.js';
import { until } from '../../support/until.js';

describe('a task on its way', () => {
  it('is enqueued, claimed, run and completed', async () => {
    const database = await createTestDatabase();
    const instance = await startQueue(database.url);
    const { taskId } = await instance.queue.enqueue(aTask());
    const run = await instance.handler.run(1);
    expect(run.task).toMatchObject({ taskId, attempt: 1, appName: 'demo-app', metadata: { user: 'tester' } });
    await until('it is completed', async () => (await instance.queue.getStats()).tasks_completed === 1);
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
    await instance.close();
    await database.drop();
  });
});
