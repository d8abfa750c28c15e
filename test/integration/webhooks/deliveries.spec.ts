import { Receiver } from '../../support/receiver.js';
import { useQueue, type Row } from '../../support/queue-fixture.js';
import { aTask } from '../../support/queue-harness.js';
import { until } from '../../support/until.js';
import { ANN, startWebhooks } from '../../support/webhook-harness.js';

const fixture = useQueue();
const receivers: Receiver[] = [];

const receiver = async () => {
  const made = await Receiver.start();
  receivers.push(made);
  return made;
};
afterEach(() => receivers.splice(0).forEach((made) => made.close()));

const rows = (): Promise<Row[]> => fixture.query('SELECT * FROM webhook_deliveries ORDER BY id');
const webhook = async () => (await fixture.query('SELECT * FROM webhooks'))[0]!;
const body = (to: Receiver, events: 'task.completed'[] = ['task.completed']) => ({ url: to.url, events });

describe('deliveries', () => {
  it('of one event are made once, whatever number of instances follows the ledger', async () => {
    const target = await receiver();
    const instances = [await startWebhooks(fixture), await startWebhooks(fixture), await startWebhooks(fixture)];
    const { queue, webhooks } = instances[0]!;
    await webhooks.create(body(target), ANN);
    const tasks = await queue.enqueueMany(Array.from({ length: 200 }, () => aTask()));
    await target.waitFor(200);
    await until('all is noted', async () => (await rows()).every(({ status }) => status === 'delivered'));
    const told = target.received.map(({ message }) => message.data.task_id as string);
    expect(told.sort()).toEqual(tasks.map(({ taskId }) => taskId).sort());
    expect(await rows()).toHaveLength(200);
  });

  it('of a time when the webhook was told of more are not shown to who has scopes, and not sent again by it', async () => {
    const target = await receiver();
    const { queue, webhooks, deliveries } = await startWebhooks(fixture);
    await webhooks.create(body(target), ANN);
    for (const appName of ['backend', 'frontend-web']) await queue.enqueue({ ...aTask(), appName });
    await target.waitFor(2);
    const { id } = await webhook();
    await webhooks.edit(id, { apps: ['frontend-*'] }, ANN);
    const eve = { name: 'eve', roles: ['operator' as const], scopes: ['frontend-*'] };
    const by = { ...ANN, caller: eve };
    await until('all is noted', async () => (await rows()).every(({ status }) => status === 'delivered'));
    const ofApp = async (app: string): Promise<string> =>
      (await rows()).find(({ payload }) => String(payload).includes(`"app_name":"${app}"`))!.id as string;
    const [theirs, own] = [await ofApp('backend'), await ofApp('frontend-web')];
    const seen = await deliveries.list(id, { limit: 10 }, eve.scopes);
    expect(seen.deliveries.map((one) => one.id)).toEqual([own]);
    expect((await deliveries.list(id, { limit: 10 })).deliveries).toHaveLength(2);
    await expect(deliveries.redeliver(id, theirs, by)).rejects.toMatchObject({ code: 'delivery_not_found' });
    await deliveries.redeliver(id, own, by);
    await target.waitFor(3);
    expect(target.received[2]!.message.data.app_name).toBe('frontend-web');
  });

  it('begin where the webhook began, though nobody followed the ledger then', async () => {
    const target = await receiver();
    const api = await startWebhooks(fixture, { workers: 0 });
    const enqueue = async () => (await api.queue.enqueue(aTask())).taskId;
    await enqueue();
    await api.webhooks.create({ url: target.url, events: ['task.enqueued'] }, ANN);
    const told = [await enqueue(), await enqueue()];
    await startWebhooks(fixture);
    await target.waitFor(2);
    expect(target.received.map(({ message }) => message.data.task_id)).toEqual(told);

    // What happens while it is paused is not told; then it begins anew.
    const { id } = await webhook();
    await api.webhooks.edit(id, { enabled: false }, ANN);
    await until('nobody follows', async () => !(await fixture.query('SELECT * FROM webhook_cursor'))[0]!.following);
    await enqueue();
    await api.webhooks.edit(id, { enabled: true }, ANN);
    const last = await enqueue();
    await target.waitFor(3);
    expect(target.received[2]!.message.data.task_id).toBe(last);
  });

  it('to an address that the webhook had before do not switch it off', async () => {
    const [before, after] = [await receiver(), await receiver()];
    let answer = (): void => undefined;
    before.respond = (response) => (answer = () => void response.writeHead(410).end());
    const { queue, webhooks } = await startWebhooks(fixture);
    await webhooks.create(body(before), ANN);
    await queue.enqueue(aTask());
    await before.waitFor(1);
    const { id } = await webhook();
    await webhooks.edit(id, { url: after.url }, ANN);
    answer();
    await until('the attempt is noted', async () => (await rows())[0]!.response_status === 410);
    await queue.enqueue(aTask());
    await after.waitFor(1);
    expect(await webhook()).toMatchObject({ enabled: true, disabled_reason: null, failing_since: null });
  });

  it('begin exactly where the webhook began, whatever transactions are open then', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    const hand = await fixture.hand('bob');
    await hand.query('BEGIN');
    const note = `INSERT INTO queue_task_events (kind, actor, cause, task_id) VALUES ('operator', 'bob', $1, 'task-1')`;
    await hand.query(note, ['open']);
    await queue.enqueue(aTask());
    await webhooks.create({ url: target.url, events: ['task.enqueued', 'task.noted'] }, ANN);
    const { taskId } = await queue.enqueue(aTask());
    await hand.query('COMMIT');
    await target.waitFor(2);
    expect(target.received.map(({ message }) => message.data.task_id).sort()).toEqual(['task-1', taskId].sort());
  });

  it('wait for transactions that are open, and miss none of them', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    await webhooks.create({ url: target.url, events: ['task.noted', 'task.enqueued'] }, ANN);
    const { taskId } = await queue.enqueue(aTask());
    await target.waitFor(1);
    const hand = await fixture.hand('bob');
    const note = `INSERT INTO queue_task_events (kind, actor, cause, task_id) VALUES ('operator', 'bob', 'looked', $1)`;
    await hand.query('BEGIN');
    await hand.query(note, [taskId]);
    await queue.enqueue(aTask());
    await hand.query('COMMIT');
    await target.waitFor(3);
    expect(target.types.sort()).toEqual(['task.enqueued', 'task.enqueued', 'task.noted']);
  });

  it('that a dead instance had taken are due again after the lease, with the same id', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    await startWebhooks(fixture);
    await webhooks.create(body(target), ANN);
    target.respond = () => undefined;
    await queue.enqueue(aTask());
    await target.waitFor(1);
    target.respond = (response) => response.writeHead(200).end();
    const lost = (await rows())[0]!;
    expect(lost.due_at.getTime() - lost.last_attempt_at.getTime()).toBeGreaterThan(15_000);
    await fixture.query('UPDATE webhook_deliveries SET due_at = now()');
    await target.waitFor(2);
    await until('it is delivered', async () => (await rows())[0]!.status === 'delivered');
    expect(target.received[0]!.id).toBe(target.received[1]!.id);
    // The attempt that was thought lost ends, and changes nothing any more.
    target.close();
    await until('it is still delivered', async () => (await rows())[0]!.status === 'delivered');
    expect((await rows())[0]).toMatchObject({ attempts: 2, response_status: 200, error: null });
  });

  it('wait as long as the receiver wants, within bounds', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    await webhooks.create(body(target), ANN);
    target.respond = (response) => response.writeHead(429, { 'Retry-After': '3600' }).end();
    await queue.enqueue(aTask());
    await until('it is noted', async () => (await rows())[0]?.response_status === 429);
    const [row] = await rows();
    expect(row).toMatchObject({ status: 'pending', attempts: 1, claim: null });
    expect(Math.round((row!.due_at - row!.last_attempt_at) / 60_000)).toBe(60);
  });

  it('that fail for days switch the webhook off, and one that succeeds begins the count anew', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    const { id } = await webhooks.create(body(target), ANN);
    target.respond = (response) => response.writeHead(500).end();
    await queue.enqueue(aTask());
    await until('it fails', async () => (await webhook()).failing_since !== null);
    target.respond = (response) => response.writeHead(200).end();
    await fixture.query('UPDATE webhook_deliveries SET due_at = now()');
    await until('it does not', async () => (await webhook()).failing_since === null);

    target.respond = (response) => response.writeHead(500).end();
    await queue.enqueue(aTask());
    await until('it fails again', async () => (await webhook()).failing_since !== null);
    await fixture.query(
      `UPDATE webhooks SET failing_since = now() - interval '5 days 1 minute', last_success_at = NULL`,
    );
    await fixture.query(`UPDATE webhook_deliveries SET due_at = now() WHERE status = 'pending'`);
    await until('it is off', async () => !(await webhook()).enabled);
    expect((await webhook()).disabled_reason).toBe('every delivery has failed for 5 days');
    const notes = await fixture.query(`SELECT actor, detail FROM queue_task_events WHERE cause = 'webhook_disabled'`);
    expect(notes).toMatchObject([
      { actor: `webhook:${id}`, detail: { reason: 'every delivery has failed for 5 days' } },
    ]);
  });

  describe('that run side by side', () => {
    let open: ((status: number) => void)[];
    let target: Receiver;
    let begin: (n: number) => Promise<void>;
    beforeEach(async () => {
      open = [];
      target = await receiver();
      const { queue, webhooks } = await startWebhooks(fixture);
      await webhooks.create(body(target), ANN);
      // Whoever has taken one message gets several at a time.
      await queue.enqueue(aTask());
      await until('it is known', async () => (await rows())[0]?.status === 'delivered');
      target.respond = (response) => open.push((status) => response.writeHead(status).end());
      begin = async (n) => {
        await queue.enqueue(aTask());
        await until(`${n} are under way`, () => open.length === n);
      };
      await begin(1);
      await begin(2);
    });
    const end = async (n: number, status: number) => {
      open[n - 1]!(status);
      await until(`number ${n} is noted`, async () => (await rows())[n]!.response_status === status);
    };

    it('make it fail no more where one that began later has succeeded', async () => {
      await end(1, 500);
      await until('the failure is noted', async () => (await webhook()).failing_since !== null);
      await end(2, 200);
      await until('the success is noted', async () => (await webhook()).failing_since === null);
    });

    it('say nothing any more where one that began later had succeeded before', async () => {
      await end(2, 200);
      await end(1, 500);
      // What is noted of the webhook comes behind what is noted of the delivery, and with it of the lane.
      const failing = 'SELECT FROM webhook_lanes WHERE failing';
      await until('the failure is noted', async () => (await fixture.query(failing)).length === 1);
      await fixture.query(`UPDATE webhook_deliveries SET due_at = now() WHERE status = 'pending'`);
      await target.waitFor(4);
      open[2]!(500);
      await until('another failure is noted', async () => (await webhook()).failing_since !== null);
      const { failing_since: since } = await webhook();
      const [first] = await fixture.query('SELECT min(delivered_at) AS at FROM webhook_deliveries WHERE id = $1', [
        (await rows())[2]!.id,
      ]);
      expect(since.getTime()).toBeGreaterThan(first!.at.getTime());
    });
  });

  it('have come when the head of the answer has, though its body never ends', async () => {
    const target = await receiver();
    const { queue, webhooks } = await startWebhooks(fixture);
    await webhooks.create(body(target), ANN);
    target.respond = (response) => response.writeHead(202).write('taken');
    await queue.enqueue(aTask());
    await until('it is delivered', async () => (await rows())[0]?.status === 'delivered');
    expect(await rows()).toMatchObject([{ attempts: 1, response_status: 202, error: null }]);
    expect(target.received).toHaveLength(1);
  });

  it('are given back by an instance that ends, as if they had not been tried', async () => {
    const target = await receiver();
    const instance = await startWebhooks(fixture);
    await instance.webhooks.create(body(target), ANN);
    target.respond = () => undefined;
    await instance.queue.enqueue(aTask());
    await target.waitFor(1);
    await instance.close();
    expect(await rows()).toMatchObject([{ status: 'pending', attempts: 0, claim: null }]);
  });

  it('are listed page by page, and removed after a month', async () => {
    const target = await receiver();
    const instance = await startWebhooks(fixture);
    const { id } = await instance.webhooks.create(body(target), ANN);
    await instance.queue.enqueueMany(Array.from({ length: 5 }, () => aTask()));
    await target.waitFor(5);
    const first = await instance.deliveries.list(id, { limit: 3 });
    const rest = await instance.deliveries.list(id, { limit: 3, cursor: first.next_cursor! });
    const ids = [...first.deliveries, ...rest.deliveries].map((delivery) => Number(delivery.id));
    expect([ids.length, rest.next_cursor]).toEqual([5, null]);
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
    expect((await instance.deliveries.list(id, { limit: 3, status: 'failed' })).deliveries).toEqual([]);
    await fixture.query(`UPDATE webhook_deliveries SET created_at = now() - interval '31 days' WHERE id <= $1`, [
      ids[3],
    ]);
    const { OutboxStore } = await import('../../../src/webhooks/outbox-store.js');
    expect(await instance.module.get(OutboxStore, { strict: false }).prune()).toBe(false);
    expect(await rows()).toHaveLength(3);
  });
});

describe('a callback', () => {
  it('is told of each end of its task and of nothing else, without a webhook', async () => {
    const target = await receiver();
    const { queue, callbacks } = await startWebhooks(fixture);
    const metadata = await callbacks.register(`${target.url}/?token=1`);
    expect(metadata.callback_url).toBe(`${target.url}/?…`);
    const { taskId } = await queue.enqueue(aTask({ metadata: { user: 'ann', ...metadata } }));
    await queue.enqueue(aTask({ metadata: { callback_id: 'nonsense' } }));
    await queue.enqueue(aTask());
    await target.waitFor(1);
    expect(target.received).toMatchObject([{ path: '/?token=1', message: { type: 'task.completed' } }]);
    expect(target.received[0]!.signature).toBeUndefined();
    expect(await fixture.query('SELECT task_id FROM webhook_callbacks')).toEqual([{ task_id: taskId }]);
    expect(await rows()).toHaveLength(1);
  });
});
