import { claim } from '../../../src/queue/store/claim.sql.js';
import { enqueue } from '../../../src/queue/store/enqueue.sql.js';
import { finish } from '../../../src/queue/store/finish.sql.js';
import { handBack } from '../../../src/queue/store/hand-back.sql.js';
import { promote } from '../../../src/queue/store/promote.sql.js';
import { writeSteps } from '../../../src/queue/store/steps.sql.js';
import { aTask, completes, type InstanceOptions } from '../../support/queue-harness.js';
import { LossyProxy } from '../../support/lossy-proxy.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
let proxy: LossyProxy;
beforeEach(() => (proxy = new LossyProxy(new URL(fixture.url))));
afterEach(() => proxy.close());

/** An instance that reaches its database through the proxy. */
async function startBehindProxy(options: InstanceOptions = {}) {
  return fixture.start({ leaseSeconds: 30, ...options, url: await proxy.listen() });
}

describe('when the answer to a statement that has committed is lost', () => {
  it('an enqueue is repeated, and stored once', async () => {
    const { queue, metrics } = await startBehindProxy({ workers: 0 });
    const lost = proxy.loseAnswerTo(enqueue);
    const enqueued = await Promise.all([queue.enqueue(aTask()), queue.enqueue(aTask({ delaySeconds: 60 }))]);
    await lost;
    const rows = await fixture.query('SELECT task_id FROM queue_tasks ORDER BY id');
    expect(rows).toEqual(enqueued.map(({ taskId }) => ({ task_id: taskId })));
    expect(await fixture.way(enqueued[0].taskId)).toBe('pending');
    expect(metrics.snapshot().enqueued).toBe(2);
  });

  it('a claim is found by its token, and its tasks are run once', async () => {
    const api = await fixture.startApi();
    // Nothing claims before the notification does.
    const { handler } = await startBehindProxy({ workers: 3, pollSeconds: 30 });
    await fixture.listening(1);
    const lost = proxy.loseAnswerTo(claim);
    const enqueued = await api.queue.enqueueMany([aTask(), aTask(), aTask()]);
    await lost;
    const ids = enqueued.map(({ taskId }) => taskId);
    await fixture.allBecome(ids, 'completed');
    expect(await fixture.query('SELECT DISTINCT attempt FROM queue_tasks')).toEqual([{ attempt: 1 }]);
    expect(handler.runs).toHaveLength(3);
  });

  it('a finish is known as its own', async () => {
    const gate = fixture.gate();
    const { queue, handler, metrics } = await startBehindProxy({ behaviour: gate.hold });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    const lost = proxy.loseAnswerTo(finish);
    gate.release();
    await lost;
    expect(await fixture.becomes(taskId, 'completed')).toMatchObject({ attempt: 1 });
    await until('it is counted', () => metrics.snapshot().completed === 1);
    expect(metrics.snapshot().lost).toBe(0);
    expect(handler.runs).toHaveLength(1);
  });

  it('a checkpoint is repeated, and stands once in the ledger', async () => {
    const gate = fixture.gate();
    const { queue, handler } = await startBehindProxy({ behaviour: gate.hold });
    const { taskId } = await queue.enqueue(aTask());
    const { journal } = await handler.run(1);
    await journal.beginSteps([{ name: 'plan', type: 'bash' }]);
    let lost = proxy.loseAnswerTo(writeSteps);
    await Promise.all([journal.startStep(0), lost]);
    lost = proxy.loseAnswerTo(writeSteps);
    await Promise.all([journal.finishStep(0, { status: 'completed' }), lost]);
    expect((await fixture.events(taskId, 'step')).map((event) => event.to_status)).toEqual(['running', 'completed']);
    gate.release();
    await fixture.becomes(taskId, 'completed');
  });

  it('a promotion is not done twice', async () => {
    const { queue, handler } = await startBehindProxy();
    const lost = proxy.loseAnswerTo(promote);
    const { taskId } = await queue.enqueue(aTask({ delaySeconds: 0.05 }));
    await lost;
    await fixture.becomes(taskId, 'completed');
    expect(await fixture.way(taskId)).toBe('scheduled pending running completed');
    expect(handler.runs).toHaveLength(1);
  });

  it('a task handed back is another instance’s, once', async () => {
    const { queue, handler } = await startBehindProxy({ behaviour: fixture.gate().hold, shutdownGraceSeconds: 0.05 });
    const { taskId } = await queue.enqueue(aTask());
    await handler.run(1);
    const lost = proxy.loseAnswerTo(handBack);
    await Promise.all([queue.drain(), lost]);
    expect(await fixture.task(taskId)).toMatchObject({ status: 'pending', attempt: 1 });
    expect(await fixture.query('SELECT FROM queue_instances')).toEqual([]);
    const other = await fixture.start({ behaviour: completes });
    await fixture.becomes(taskId, 'completed');
    expect(other.handler.runs).toHaveLength(1);
  });
});
