import { Receiver } from '../support/receiver.js';
import { type Answer, cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

describe('webhooks', () => {
  let database: TestDatabase;
  let api: ServiceProcess;
  let worker: ServiceProcess;
  const receivers: Receiver[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    [api, worker] = await Promise.all([start('api'), start('worker')]);
  });
  afterEach(async () => {
    receivers.splice(0).forEach((made) => made.close());
    await database.query('DELETE FROM webhooks');
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const CALLBACK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const start = (ROLE: string) =>
    ServiceProcess.start({
      env: {
        ...{ ROLE, CALLBACK_SECRET, DATABASE_URL: database.url, OUTBOUND_ALLOWED_CIDRS: '127.0.0.1' },
        WEBHOOK_RETRY_SCHEDULE: '10m, 20m',
      },
    });
  const receiver = async () => {
    const made = await Receiver.start();
    receivers.push(made);
    return made;
  };
  const send = (method: string, path: string, body?: unknown): Promise<Answer> =>
    api.request(method, `/api/webhooks${path}`, {
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  /** A webhook to the receiver, which from now on refuses what is not signed with its secret. */
  const subscribe = async (to: Receiver, more: object = {}): Promise<Json> => {
    const { status, json } = await send('POST', '', { url: `${to.url}/hook`, events: ['*'], ...more });
    expect(status).toBe(201);
    to.secret = json.secret;
    return json;
  };
  const deliveries = async (id: string): Promise<Json[]> =>
    (await send('GET', `/${id}/deliveries`)).json.deliveries as Json[];
  const inLedger = async (cause: string, id: string) =>
    database.query(
      `SELECT actor, detail FROM queue_task_events
       WHERE kind = 'operator' AND cause = $1 AND detail ->> 'webhook_id' = $2`,
      [cause, id],
    );
  /** What waits for its next try has it now. */
  const hurry = () =>
    database.query(`UPDATE webhook_deliveries SET due_at = now() WHERE status = 'pending' AND claim IS NULL`);
  const ledgerOf = async (tasks: readonly string[]): Promise<string[]> => {
    const rows = await database.query('SELECT id FROM queue_task_events WHERE task_id = ANY($1) ORDER BY id', [tasks]);
    return rows.map((row) => row.id as string);
  };

  it('are made, read, changed and removed; the secret is shown once', async () => {
    const target = await receiver();
    const url = `${target.url}/hook/hidden-in-the-path-1234?token=hidden-in-the-query`;
    const made = await send('POST', '', { url, events: ['task.completed'], apps: ['frontend-*'], description: 'CI' });
    const { id, secret } = made.json;
    expect([made.status, made.headers.location]).toEqual([201, `/api/webhooks/${id}`]);
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    const shown = {
      ...{ id: expect.stringMatching(/^\d+$/), url: `${target.url}/hook/…1234?…`, events: ['task.completed'] },
      ...{ apps: ['frontend-*'], enabled: true, disabled_reason: null, old_secret_expires_at: null },
      ...{ failing_since: null, last_success_at: null, description: 'CI', created_at: time, updated_at: time },
      links: { self: `/api/webhooks/${id}`, deliveries: `/api/webhooks/${id}/deliveries` },
    };
    expect(made.json).toEqual({ ...shown, secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) });
    expect((await send('GET', `/${id}`)).json).toEqual(shown);
    expect((await send('GET', '')).json).toEqual({ webhooks: [shown], next_cursor: null });
    const edited = await send('PATCH', `/${id}`, { events: ['*'], apps: null });
    expect(edited.json).toMatchObject({ events: ['*'], apps: null });
    expect((await send('POST', `/${id}/pause`)).json.enabled).toBe(false);
    expect((await send('POST', `/${id}/resume`)).json.enabled).toBe(true);
    const rotated = await send('POST', `/${id}/rotate`, { overlap: '1h' });
    expect(rotated.json.secret).not.toBe(secret);
    expect(rotated.json.old_secret_expires_at).toEqual(time);
    expect((await send('DELETE', `/${id}`)).status).toBe(204);
    expect((await send('GET', `/${id}`)).json.code).toBe('webhook_not_found');
    const notes = await database.query(
      `SELECT actor, cause, detail FROM queue_task_events WHERE detail ->> 'webhook_id' = $1 ORDER BY id`,
      [id],
    );
    expect(notes.map(({ actor, cause }) => `${actor} ${cause}`)).toEqual(
      ['created', 'edited', 'paused', 'resumed', 'secret_rotated', 'deleted'].map((verb) => `admin webhook_${verb}`),
    );
    const told = JSON.stringify([made.json.url, edited.json, notes]) + api.stdout + worker.stdout;
    for (const hidden of [secret, rotated.json.secret, 'hidden-in']) expect(told).not.toContain(hidden);
  });

  it('are refused with all that is wrong', async () => {
    const wrong = async (body: object) => {
      const { status, json } = await send('POST', '', body);
      return [status, json.code, ...json.errors.map((error: Json) => `${error.path}: ${error.hint}`)];
    };
    const url = 'https://93.184.216.34/hook';
    expect(await wrong({ url, events: ['task.complete'] })).toEqual([
      ...[422, 'invalid_parameter', `events[0]: Did you mean 'task.completed'?`],
    ]);
    expect(await wrong({ url, event: ['*'], apps: ['a b'] })).toEqual([
      ...[422, 'invalid_parameter'],
      ...[`event: Did you mean 'events'?`, expect.stringMatching(/^apps\[0\]: It must be the name of an application/)],
    ]);
    for (const bad of [
      'http://127.0.0.2/',
      'http://[::ffff:10.0.0.1]/',
      'http://169.254.169.254/',
      'ftp://x.test/',
      'x',
    ]) {
      const { status, json } = await send('POST', '', { url: bad, events: ['*'] });
      expect([status, json.errors[0].path]).toEqual([422, 'url']);
      expect(json.detail).toMatch(/^'url' cannot be called: /);
    }
    const made = await send('POST', '', { url, events: ['*'] });
    const { id } = made.json;
    expect((await send('PATCH', `/${id}`, { url: 'http://10.0.0.1/' })).status).toBe(422);
    expect((await send('POST', `/${id}/rotate`, { overlap: 'long' })).json.errors[0].path).toBe('overlap');
    expect((await send('GET', '/x')).json.code).toBe('webhook_not_found');
    const none = await send('POST', `/${id}/deliveries/7/redeliver`);
    expect([none.status, none.json.code]).toEqual([404, 'delivery_not_found']);
    const callback = await api.post('/api/specs?callback_url=http://10.0.0.1/', '{}', 'application/json');
    expect(callback.status).toBe(422);
    const local = `/api/specs?callback_url=${encodeURIComponent('http://10.0.0.1/')}`;
    const refused = await api.post(local, JSON.stringify(documentOf('true')), 'application/json');
    expect([refused.status, refused.json.errors[0].path]).toEqual([422, 'callback_url']);
    expect((await send('GET', '/callbacks/task-1')).json.code).toBe('callback_not_found');
  });

  it('tell a receiver that knows only the library every event, by its filters', async () => {
    const [all, ends] = [await receiver(), await receiver()];
    const { id } = await subscribe(all);
    await subscribe(ends, { events: ['task.completed', 'task.failed'], apps: ['front*'] });
    const test = await send('POST', `/${id}/test`);
    expect(test.json).toMatchObject({ delivered: true, response_status: 204, error: null });
    expect(all.received.pop()).toMatchObject({ id: test.json.message_id, message: { type: 'webhook.test' } });

    const front = await api.submit(documentOf('true', 'frontend'));
    const back = await api.submit(documentOf('exit 3', 'backend'));
    await ends.waitFor(1);
    await all.waitFor(10);
    expect(ends.received.map(({ message }) => [message.type, message.data.task_id])).toEqual([
      ['task.completed', front],
    ]);
    const ledger = await ledgerOf([front, back]);
    const ids = all.received.map(({ message }) => message.data.event_id as string);
    expect([...ids].sort()).toEqual([...ledger].sort());
    expect(all.received.map((received) => received.id)).toEqual(ids.map((event) => `msg_${id}_${event}`));
    expect(all.received.find(({ message }) => message.type === 'task.failed')?.message).toEqual({
      type: 'task.failed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: expect.objectContaining({ task_id: back, app_name: 'backend', status: 'failed', cause: 'step_failed' }),
    });
    expect([...all.refused, ...ends.refused]).toEqual([]);
    const [newest] = await deliveries(id);
    expect(newest).toMatchObject({ status: 'delivered', attempts: 1, response_status: 204, next_attempt_at: null });
  });

  it('try again with the same id, and once more when asked to', async () => {
    const target = await receiver();
    const { id } = await subscribe(target, { events: ['task.completed'] });
    const statuses = [500, 302, 200, 200];
    target.respond = (response) => response.writeHead(statuses.shift()!, { Location: '/else' }).end('so\0so');
    await api.submit(documentOf('true'));
    await until('it is noted', async () => (await deliveries(id))[0]?.response_status === 500);
    const [{ next_attempt_at: next, last_attempt_at: last }] = await deliveries(id);
    expect((Date.parse(next) - Date.parse(last)) / 60_000).toBeGreaterThanOrEqual(10);
    await hurry();
    await until('it is noted again', async () => (await deliveries(id))[0].response_status === 302);
    await hurry();
    await target.waitFor(3);
    await until('it is delivered', async () => (await deliveries(id))[0].status === 'delivered');
    const [delivery] = await deliveries(id);
    expect(delivery).toMatchObject({ attempts: 3, response_status: 200, response_body: 'so\ufffdso', error: null });
    const again = await send('POST', `/${id}/deliveries/${delivery.id}/redeliver`);
    expect([again.status, again.json.status]).toEqual([202, 'pending']);
    await target.waitFor(4);
    expect(new Set(target.received.map((received) => received.id))).toEqual(new Set([delivery.message_id]));
    expect(new Set(target.received.map(({ text }) => text)).size).toBe(1);
    expect(await inLedger('webhook_redelivered', id)).toMatchObject([{ actor: 'admin' }]);

    // Its retries are used up.
    target.respond = (response) => response.writeHead(503).end();
    await api.submit(documentOf('true'));
    await target.waitFor(5);
    await until('it has failed', async () => {
      await hurry();
      return (await deliveries(id))[0].status === 'failed';
    });
    const [failed] = await deliveries(id);
    expect(failed).toMatchObject({ attempts: 3, error: 'the endpoint answered 503', next_attempt_at: null });
    expect((await send('GET', `/${id}`)).json.failing_since).not.toBeNull();
  });

  it('sign with both secrets while one takes the place of the other', async () => {
    const target = await receiver();
    const { id } = await subscribe(target, { events: ['task.completed'] });
    const rotated = await send('POST', `/${id}/rotate`);
    const submit = () => api.submit(documentOf('true'));
    await submit();
    await target.waitFor(1);
    target.secret = rotated.json.secret;
    await submit();
    await target.waitFor(2);
    expect(target.received.map(({ signature }) => signature!.split(' ').length)).toEqual([2, 2]);
    await database.query(`UPDATE webhooks SET old_secret_expires_at = now()`);
    await submit();
    await target.waitFor(3);
    expect(target.received[2]!.signature!.split(' ')).toHaveLength(1);
    expect(target.refused).toEqual([]);
  });

  it('are switched off by 410, and say so', async () => {
    const target = await receiver();
    const { id } = await subscribe(target, { events: ['task.completed'] });
    target.respond = (response) => response.writeHead(410).end();
    await api.submit(documentOf('true'));
    await until('it is off', async () => !(await send('GET', `/${id}`)).json.enabled);
    const { json } = await send('GET', `/${id}`);
    expect(json.disabled_reason).toBe('the endpoint answered 410: it is gone');
    expect(await inLedger('webhook_disabled', id)).toMatchObject([
      { actor: `webhook:${id}`, detail: { webhook_id: id, reason: json.disabled_reason } },
    ]);
    const [delivery] = await deliveries(id);
    expect(delivery).toMatchObject({ status: 'failed', response_status: 410 });
    const off = await send('POST', `/${id}/deliveries/${delivery.id}/redeliver`);
    expect([off.status, off.json.code]).toEqual([409, 'conflict']);
    expect((await send('POST', `/${id}/resume`)).json).toMatchObject({ enabled: true, disabled_reason: null });
  });

  it('that hang do not delay another', async () => {
    const [good, ...bad] = await Promise.all(Array.from({ length: 21 }, receiver));
    for (const target of bad) {
      target.respond = () => undefined;
      await subscribe(target);
    }
    await subscribe(good!);
    const tasks = await Promise.all(Array.from({ length: 3 }, () => api.submit(documentOf('true'))));
    await good!.waitFor(5 * tasks.length);
    // All of them still wait for their first answers.
    expect(bad.map((target) => target.received.length).every((count) => count <= 1)).toBe(true);
    const rows = await database.query(
      'SELECT FROM webhook_deliveries WHERE webhook_id IS NOT NULL AND error IS NOT NULL',
    );
    expect(rows).toEqual([]);
  });

  it('lose nothing where a worker is killed between commit and delivery', async () => {
    const target = await receiver();
    const { id } = await subscribe(target);
    // Attempts hang, so that some are under way and some not made yet when the worker dies.
    target.respond = () => undefined;
    const tasks = await Promise.all(Array.from({ length: 10 }, () => api.submit(documentOf('true'))));
    await target.waitFor(1);
    await worker.kill();
    // Its leases are over, of tasks and of deliveries.
    await database.query(`UPDATE queue_instances SET expires_at = now() - interval '1 second' WHERE workers > 0`);
    await database.query(`UPDATE webhook_deliveries SET due_at = now() WHERE claim IS NOT NULL`);
    target.respond = (response) => response.writeHead(200).end();
    worker = await start('worker');
    for (const task of tasks) await api.waitForTask(task, 'completed');
    await until('all is delivered', async () => {
      const sql = `SELECT FROM queue_task_events e WHERE task_id = ANY($1) AND NOT EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status = 'delivered')`;
      return (await database.query(sql, [tasks])).length === 0;
    });
    const ledger = await ledgerOf(tasks);
    const had = new Set(target.received.map((received) => received.id));
    expect(had).toEqual(new Set(ledger.map((event) => `msg_${id}_${event}`)));
    expect(target.refused).toEqual([]);
  });

  it('of one task tell its end, signed with the secret of the deployment', async () => {
    const target = await receiver();
    target.secret = CALLBACK_SECRET;
    const callback = encodeURIComponent(`${target.url}/done?token=hidden`);
    const task = await api.submit(documentOf('exit 3'), `?callback_url=${callback}`);
    await api.submit(documentOf('true'));
    await target.waitFor(1);
    expect(target.received[0]).toMatchObject({ path: '/done?token=hidden', message: { type: 'task.failed' } });
    expect((await api.task(task)).metadata).toMatchObject({ callback_url: `${target.url}/done?…` });
    await until('it is noted', async () => {
      const { json } = await send('GET', `/callbacks/${task}`);
      return json.deliveries?.[0]?.status === 'delivered';
    });
    await api.post(`/api/tasks/${task}/retry`);
    await target.waitFor(2);
    expect(target.received.map(({ message }) => message.data.task_id)).toEqual([task, task]);
    expect(new Set(target.received.map(({ id }) => id)).size).toBe(2);
    const answers = [await api.task(task), (await send('GET', `/callbacks/${task}`)).json];
    expect(JSON.stringify(answers) + api.stdout + worker.stdout).not.toContain('token=hidden');
    expect(target.refused).toEqual([]);
  });
});
