import { DeafProxy } from '../../support/deaf-proxy.js';
import { useQueue } from '../../support/queue-fixture.js';
import { abortion, aTask } from '../../support/queue-harness.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
let proxy: DeafProxy | undefined;

async function deafUrl(): Promise<string> {
  proxy = new DeafProxy(new URL(fixture.url));
  return proxy.listen();
}
afterAll(() => proxy?.close());

describe('behind a pooler in transaction mode', () => {
  it('nobody listens and no statement has a name; wake-ups and cancels of other instances come by polling', async () => {
    const api = await fixture.start({ workers: 0, pooler: 'transaction' });
    const worker = await fixture.start({ pooler: 'transaction', behaviour: fixture.gate().hold });
    const { taskId } = await api.queue.enqueue(aTask());
    const run = await worker.handler.run(1);
    await api.queue.cancel(taskId, { actor: 'ada' });
    expect(await abortion(run)).toBe('cancelled');
    await fixture.becomes(taskId, 'cancelled');
    const degraded = expect.stringMatching(/^no notifications: a pooler in transaction mode/) as string;
    for (const { queue } of [api, worker]) {
      expect(await queue.getStats()).toMatchObject({ notifications: 'off', degraded });
    }
    const sessions = await fixture.query(`
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`);
    expect(sessions).toEqual([]);
  });
});

describe('where LISTEN succeeds and hears nothing', () => {
  it('the instance finds out by an echo, says so, and goes on by polling', async () => {
    const url = await deafUrl();
    const [api, worker] = await Promise.all([fixture.start({ url, workers: 0 }), fixture.start({ url })]);
    const { taskId } = await api.queue.enqueue(aTask());
    await fixture.becomes(taskId, 'completed');
    for (const { queue } of [api, worker]) {
      let stats = await queue.getStats();
      await until(
        'it knows that it hears nothing',
        async () => (stats = await queue.getStats()).notifications === 'off',
      );
      expect(stats.degraded).toMatch(/^no notifications: .*LISTEN.*DATABASE_POOLER=transaction/);
    }
  });
});
