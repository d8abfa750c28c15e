import { abortion, aTask, failure, untilAborted } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();
const schedule = { actor: 'schedule:nightly', requestId: 'req-1' };
const superseded = { cause: 'superseded' } as const;
const facts = { status: 'cancelled', cause: 'superseded', error_message: 'a newer one takes its place' };
const { error_message: reason } = facts;

describe('a task that a newer one takes the place of', () => {
  it('ends with the cause `superseded` where it waits', async () => {
    const { queue } = await fixture.startApi();
    const { taskId } = await queue.enqueue(aTask());
    expect(await queue.cancel(taskId, schedule, reason, superseded)).toBe('cancelled');
    expect(await fixture.task(taskId)).toMatchObject(facts);
    expect((await fixture.events(taskId)).at(-1)).toMatchObject({ actor: 'schedule:nightly', cause: 'superseded' });
  });

  it.each([
    ['its run stops', untilAborted],
    [
      'its run fails meanwhile',
      async (run: Parameters<typeof untilAborted>[0]) => (await untilAborted(run), failure('x')),
    ],
  ])('where it runs and %s', async (_, behaviour) => {
    const { queue, handler } = await fixture.start({ behaviour });
    const { taskId } = await queue.enqueue(aTask({ maxAttempts: 3 }));
    await handler.run(1);
    expect(await queue.cancel(taskId, schedule, reason, superseded)).toBe('running');
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(facts);
  });

  it('where its instance dies before it has ended it', async () => {
    const dying = await fixture.start({ behaviour: fixture.gate().holdDeaf, leaseSeconds: 60 });
    const { queue } = await fixture.startApi();
    const { taskId } = await dying.queue.enqueue(aTask());
    const run = await dying.handler.run(1);
    await queue.cancel(taskId, schedule, reason, superseded);
    await abortion(run);
    await fixture.expire(dying.id);
    await fixture.start();
    expect(await fixture.becomes(taskId, 'cancelled')).toMatchObject(facts);
  });

  it('where its instance drains before it has ended it', async () => {
    const { store, queue, handler, closeNow } = await fixture.start({ behaviour: untilAborted, leaseSeconds: 60 });
    const { taskId } = await queue.enqueue(aTask());
    const run = await handler.run(1);
    // The instance does not know of it yet.
    await store.requestCancel(run.task.id, schedule, reason, superseded);
    await closeNow();
    expect(await fixture.task(taskId)).toMatchObject(facts);
  });
});
