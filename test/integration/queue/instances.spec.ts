import { randomUUID } from 'node:crypto';
import { InstancesService } from '../../../src/queue/instances.service.js';
import { WorkerPool } from '../../../src/queue/workers/worker-pool.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const ADA = { actor: 'ada', requestId: 'r1' };

/** A process that runs nothing and speaks for operators. */
async function operator() {
  const api = await fixture.startApi();
  return { queue: api.queue, instances: api.module.get(InstancesService) };
}
const changes = () => fixture.query(`SELECT * FROM queue_task_events WHERE kind = 'operator' ORDER BY id`);

describe('the list of instances', () => {
  it('says who is alive, with how many workers, and how many are busy', async () => {
    const gate = fixture.gate();
    const { queue, instances } = await operator();
    expect(await instances.list()).toEqual({ count: 0, instances: [] });
    const first = await fixture.start({ workers: 2, behaviour: gate.hold });
    const second = await fixture.start({ workers: 3, behaviour: gate.hold });
    await queue.enqueueMany([aTask(), aTask(), aTask()]);
    await until('three run', async () => (await queue.getActiveTasks()).count === 3);
    const list = await instances.list();
    expect(list).toMatchObject({
      count: 2,
      instances: [
        { id: first.id, workers: 2, draining: false, stopping: false, alive: true, pid: process.pid, version: 'test' },
        { id: second.id, workers: 3, alive: true },
      ],
    });
    expect(list.instances.reduce((sum, { busy }) => sum + busy, 0)).toBe(3);
  });
});

describe('the workers of a running instance', () => {
  it('become more, from another process, without a poll, and are in the ledger', async () => {
    const gate = fixture.gate();
    const { queue, instances } = await operator();
    const worker = await fixture.start({ workers: 1, behaviour: gate.hold, pollSeconds: 30, leaseSeconds: 60 });
    await fixture.listening(1);
    await queue.enqueueMany([aTask(), aTask(), aTask()]);
    await worker.handler.run(1);
    expect(await instances.change(worker.id, { workers: 3 }, ADA)).toMatchObject({ id: worker.id, workers: 3 });
    await worker.handler.run(3);
    expect((await queue.getStats()).workers).toBe(3);
    expect(await changes()).toMatchObject([
      {
        task_id: null,
        actor: 'ada',
        cause: 'instance_changed',
        request_id: 'r1',
        detail: { instance: worker.id, workers: { from: 1, to: 3 } },
      },
    ]);
    // What is so already is no change.
    await instances.change(worker.id, { workers: 3, draining: false }, ADA);
    expect(await changes()).toHaveLength(1);
  });

  it('become fewer: what runs goes on, and no more than wanted begin after that; 0 leaves it idle', async () => {
    const { queue, instances } = await operator();
    const gates = [fixture.gate(), fixture.gate(), fixture.gate(), fixture.gate()];
    const worker = await fixture.start({ workers: 3, behaviour: (run) => gates[Number(run.task.appName)]!.hold(run) });
    const tasks = await queue.enqueueMany(['0', '1', '2'].map((appName) => aTask({ appName })));
    await worker.handler.run(3);
    const { taskId: next } = await queue.enqueue(aTask({ appName: '3' }));
    await instances.change(worker.id, { workers: 1 }, ADA);
    await until('it knows', () => worker.module.get(WorkerPool).room === 1 - 3);
    gates[0]!.release();
    gates[1]!.release();
    await fixture.allBecome([tasks[0]!.taskId, tasks[1]!.taskId], 'completed');
    expect((await fixture.task(next)).status).toBe('pending');
    await instances.change(worker.id, { workers: 0 }, ADA);
    await until('it knows', () => worker.module.get(WorkerPool).room === 0 - 1);
    gates[2]!.release();
    await fixture.becomes(tasks[2]!.taskId, 'completed');
    expect((await fixture.task(next)).status).toBe('pending');
    await instances.change(worker.id, { workers: 1 }, ADA);
    await worker.handler.run(4);
    gates[3]!.release();
    await fixture.becomes(next, 'completed');
  });

  it('are kept when the instance joins again after a lost lease', async () => {
    const { instances } = await operator();
    const worker = await fixture.start({ workers: 1 });
    await instances.change(worker.id, { workers: 4, draining: true }, ADA);
    const first = worker.id;
    const joined = async () => {
      const [row] = await fixture.query('SELECT workers, draining FROM queue_instances WHERE id = $1', [worker.id]);
      return worker.id !== first && row?.workers === 4 && row.draining === true;
    };
    await until('it knows', async () => (await instances.list()).instances[0]?.workers === 4);
    // It has heard of the wish at the latest with a beat after it.
    const [before] = await fixture.query('SELECT expires_at FROM queue_instances WHERE id = $1', [first]);
    await until('it beats', async () => {
      const [row] = await fixture.query('SELECT expires_at FROM queue_instances WHERE id = $1', [first]);
      return row !== undefined && row.expires_at > before!.expires_at;
    });
    await fixture.expire(first);
    await until('it has joined again', joined);
  });
});

describe('an instance that is told to drain', () => {
  it('finishes what runs, begins nothing new, and goes on when told so', async () => {
    const gate = fixture.gate();
    const { queue, instances } = await operator();
    const worker = await fixture.start({ workers: 2, behaviour: gate.hold });
    const running = await queue.enqueue(aTask());
    await worker.handler.run(1);
    expect(await instances.change(worker.id, { draining: true }, ADA)).toMatchObject({
      draining: true,
      stopping: false,
    });
    const waiting = await queue.enqueue(aTask());
    const own = await worker.queue.enqueue(aTask());
    expect(await worker.store.claim(1, worker.id, randomUUID())).toEqual([]);
    expect((await queue.getStats()).workers).toBe(0);
    gate.release();
    await fixture.becomes(running.taskId, 'completed');
    for (const { taskId } of [waiting, own]) expect((await fixture.task(taskId)).status).toBe('pending');
    expect(worker.queue.draining).toBe(false);
    await instances.change(worker.id, { draining: false }, ADA);
    await fixture.allBecome([waiting.taskId, own.taskId], 'completed');
    expect((await changes()).map(({ detail }) => detail)).toEqual([
      { instance: worker.id, draining: true },
      { instance: worker.id, draining: false },
    ]);
  });

  it('hands back what it has taken ahead, and another takes it', async () => {
    const gate = fixture.gate();
    const { queue, instances } = await operator();
    const worker = await fixture.start({ workers: 1, prefetch: 20, behaviour: gate.hold });
    const ids = (await queue.enqueueMany(Array.from({ length: 10 }, () => aTask()))).map(({ taskId }) => taskId);
    await worker.handler.run(1);
    const ahead = async () =>
      (await fixture.query(`SELECT FROM queue_leases JOIN queue_tasks USING (id) WHERE status = 'pending'`)).length;
    await until('it has taken some ahead', async () => (await ahead()) > 0);
    await instances.change(worker.id, { draining: true }, ADA);
    await until('all are back', async () => (await ahead()) === 0);
    await fixture.start({ workers: 2 });
    await until('the other has run them', async () => (await queue.getStats()).tasks_completed === 9);
    gate.release();
    await fixture.allBecome(ids, 'completed');
    expect(worker.handler.runs).toHaveLength(1);
  });
});

describe('a change that cannot be', () => {
  it('of an instance that nobody knows, or whose lease is over, is a 404', async () => {
    const { instances } = await operator();
    await expect(instances.change('nobody', { workers: 1 }, ADA)).rejects.toMatchObject({ code: 'instance_not_found' });
    await fixture.query(
      `INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
       VALUES ('dead', now() - interval '1 minute', 'h', 1, 'v', 1)`,
    );
    expect((await instances.list()).instances).toMatchObject([{ id: 'dead', alive: false }]);
    await expect(instances.change('dead', { workers: 2 }, ADA)).rejects.toMatchObject({ code: 'instance_not_found' });
    expect(await changes()).toEqual([]);
  });

  it('of one whose process is ending is a 409', async () => {
    const gate = fixture.gate();
    const { queue, instances } = await operator();
    const worker = await fixture.start({ behaviour: gate.hold });
    await queue.enqueue(aTask());
    await worker.handler.run(1);
    const drained = worker.queue.drain();
    await until('it says so', async () => (await instances.list()).instances[0]?.stopping === true);
    await expect(instances.change(worker.id, { draining: false }, ADA)).rejects.toMatchObject({ code: 'conflict' });
    gate.release();
    await drained;
  });
});
