import { Receiver } from '../support/receiver.js';
import { type Answer, cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

describe('webhooks', () => {
  let database: TestDatabase;
  const receivers: Receiver[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    await cleanUp();
    receivers.splice(0).forEach((receiver) => receiver.close());
    await database.drop();
  });

  const start = (env: Record<string, string> = {}) =>
    ServiceProcess.start({ env: { DATABASE_URL: database.url, OUTBOUND_ALLOWED_CIDRS: '127.0.0.1', ...env } });
  const receiver = async () => {
    const made = await Receiver.start();
    receivers.push(made);
    return made;
  };
  const send = (service: ServiceProcess, method: string, path: string, body?: unknown): Promise<Answer> =>
    service.request(method, `/api/webhooks${path}`, {
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  /** A webhook to the receiver, which from now on refuses what is not signed with its secret. */
  const subscribe = async (service: ServiceProcess, to: Receiver, more: object = {}): Promise<Json> => {
    const { status, json } = await send(service, 'POST', '', { url: `${to.url}/hook`, events: ['*'], ...more });
    expect(status).toBe(201);
    to.secret = json.secret;
    return json;
  };
  const deliveries = async (service: ServiceProcess, id: string): Promise<Json[]> =>
    (await send(service, 'GET', `/${id}/deliveries`)).json.deliveries as Json[];
  const inLedger = async (cause: string) =>
    database.query(`SELECT actor, detail FROM queue_task_events WHERE kind = 'operator' AND cause = $1`, [cause]);

  it('are made, read, changed and removed; the secret is shown once', async () => {
    const service = await start({ ROLE: 'api' });
    const target = await receiver();
    const url = `${target.url}/hook?token=hidden`;
    const made = await send(service, 'POST', '', { url, events: ['task.completed'], apps: ['frontend-*'] });
    const { id, secret } = made.json;
    expect([made.status, made.headers.location]).toEqual([201, `/api/webhooks/${id}`]);
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    const shown = {
      ...{ id: expect.stringMatching(/^\d+$/), url: `${target.url}/hook?***`, events: ['task.completed'] },
      ...{ apps: ['frontend-*'], enabled: true, disabled_reason: null, old_secret_expires_at: null },
      ...{ failing_since: null, created_at: time, updated_at: time },
      links: { self: `/api/webhooks/${id}`, deliveries: `/api/webhooks/${id}/deliveries` },
    };
    expect(made.json).toEqual({ ...shown, secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) });
    expect((await send(service, 'GET', `/${id}`)).json).toEqual(shown);
    expect((await send(service, 'GET', '')).json).toEqual({ webhooks: [shown], next_cursor: null });
    const edited = await send(service, 'PATCH', `/${id}`, { events: ['*'], apps: null });
    expect(edited.json).toMatchObject({ events: ['*'], apps: null });
    expect((await send(service, 'POST', `/${id}/pause`)).json.enabled).toBe(false);
    expect((await send(service, 'POST', `/${id}/resume`)).json.enabled).toBe(true);
    const rotated = await send(service, 'POST', `/${id}/rotate`, { overlap: '1h' });
    expect(rotated.json.secret).not.toBe(secret);
    expect(rotated.json.old_secret_expires_at).toEqual(time);
    expect((await send(service, 'DELETE', `/${id}`)).status).toBe(204);
    expect((await send(service, 'GET', `/${id}`)).json.code).toBe('webhook_not_found');
    const notes = await database.query(`SELECT actor, cause, detail FROM queue_task_events ORDER BY id`);
    expect(notes.map(({ actor, cause }) => `${actor} ${cause}`)).toEqual(
      ['created', 'edited', 'paused', 'resumed', 'secret_rotated', 'deleted'].map((verb) => `admin webhook_${verb}`),
    );
    const told = JSON.stringify(notes) + service.stdout;
    for (const hidden of [secret, rotated.json.secret, 'token=hidden']) expect(told).not.toContain(hidden);
  });

  it('are refused with all that is wrong', async () => {
    const service = await start({ ROLE: 'api', OUTBOUND_ALLOWED_CIDRS: '' });
    const wrong = async (body: object) => {
      const { status, json } = await send(service, 'POST', '', body);
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
      'http://127.0.0.1/',
      'http://[::ffff:10.0.0.1]/',
      'http://169.254.169.254/',
      'ftp://x.test/',
      'x',
    ]) {
      const { status, json } = await send(service, 'POST', '', { url: bad, events: ['*'] });
      expect([status, json.errors[0].path]).toEqual([422, 'url']);
      expect(json.detail).toMatch(/^'url' cannot be called: /);
    }
    const made = await send(service, 'POST', '', { url, events: ['*'] });
    const { id } = made.json;
    expect((await send(service, 'PATCH', `/${id}`, { url: 'http://10.0.0.1/' })).status).toBe(422);
    expect((await send(service, 'POST', `/${id}/rotate`, { overlap: 'long' })).json.errors[0].path).toBe('overlap');
    expect((await send(service, 'GET', '/x')).json.code).toBe('webhook_not_found');
    const none = await send(service, 'POST', `/${id}/deliveries/7/redeliver`);
    expect([none.status, none.json.code]).toEqual([404, 'delivery_not_found']);
    const callback = await service.post('/api/specs?callback_url=http://10.0.0.1/', '{}', 'application/json');
    expect(callback.status).toBe(422);
    const local = `/api/specs?callback_url=${encodeURIComponent('http://localhost/')}`;
    const refused = await service.post(local, JSON.stringify(documentOf('true')), 'application/json');
    expect([refused.status, refused.json.errors[0].path]).toEqual([422, 'callback_url']);
    expect((await send(service, 'GET', '/callbacks/task-1')).json.code).toBe('callback_not_found');
  });

  it('tell a receiver that knows only the library every event, by its filters', async () => {
    const [api, worker] = await Promise.all([start({ ROLE: 'api' }), start({ ROLE: 'worker' })]);
    const [all, ends] = [await receiver(), await receiver()];
    const { id } = await subscribe(api, all);
    await subscribe(api, ends, { events: ['task.completed', 'task.failed'], apps: ['front*'] });
    const test = await send(api, 'POST', `/${id}/test`);
    expect(test.json).toMatchObject({ delivered: true, response_status: 204, error: null });
    expect(all.received.pop()).toMatchObject({ id: test.json.message_id, message: { type: 'webhook.test' } });

    const front = await api.submit(documentOf('true', 'frontend'));
    const back = await api.submit(documentOf('exit 3', 'backend'));
    await ends.waitFor(1);
    await all.waitFor(10);
    expect(ends.received.map(({ message }) => [message.type, message.data.task_id])).toEqual([
      ['task.completed', front],
    ]);
    const ledger = await database.query('SELECT id FROM queue_task_events WHERE task_id IS NOT NULL');
    const ids = all.received.map(({ message }) => message.data.event_id as string);
    expect([...ids].sort()).toEqual(ledger.map((row) => row.id as string).sort());
    expect(all.received.map((received) => received.id)).toEqual(ids.map((event) => `msg_${id}_${event}`));
    expect(all.received.find(({ message }) => message.type === 'task.failed')?.message).toEqual({
      type: 'task.failed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: expect.objectContaining({ task_id: back, app_name: 'backend', status: 'failed', cause: 'step_failed' }),
    });
    expect([...all.refused, ...ends.refused]).toEqual([]);
    const [newest] = await deliveries(api, id);
    expect(newest).toMatchObject({ status: 'delivered', attempts: 1, response_status: 204, next_attempt_at: null });
    await worker.stop();
  });

  it('try again with the same id, and once more when asked to', async () => {
    const service = await start({ WEBHOOK_RETRY_SCHEDULE: '1s, 1s' });
    const target = await receiver();
    const { id } = await subscribe(service, target, { events: ['task.completed'] });
    const statuses = [500, 302, 200, 200];
    target.respond = (response) => response.writeHead(statuses.shift()!, { Location: '/else' }).end('so\0so');
    await service.submit(documentOf('true'));
    await target.waitFor(3);
    await until('it is delivered', async () => (await deliveries(service, id))[0].status === 'delivered');
    const [delivery] = await deliveries(service, id);
    expect(delivery).toMatchObject({ attempts: 3, response_status: 200, response_body: 'so\ufffdso', error: null });
    const again = await send(service, 'POST', `/${id}/deliveries/${delivery.id}/redeliver`);
    expect([again.status, again.json.status]).toEqual([202, 'pending']);
    await target.waitFor(4);
    expect(new Set(target.received.map((received) => received.id))).toEqual(new Set([delivery.message_id]));
    expect(new Set(target.received.map(({ text }) => text)).size).toBe(1);
    expect(await inLedger('webhook_redelivered')).toMatchObject([{ actor: 'admin' }]);

    // Its retries are used up.
    target.respond = (response) => response.writeHead(503).end();
    await service.submit(documentOf('true'));
    await until('it has failed', async () => (await deliveries(service, id))[0].status === 'failed');
    const [failed] = await deliveries(service, id);
    expect(failed).toMatchObject({ attempts: 3, error: 'the endpoint answered 503', next_attempt_at: null });
    expect((await send(service, 'GET', `/${id}`)).json.failing_since).not.toBeNull();
  });

  it('sign with both secrets while one takes the place of the other', async () => {
    const service = await start();
    const target = await receiver();
    const { id } = await subscribe(service, target, { events: ['task.completed'] });
    const rotated = await send(service, 'POST', `/${id}/rotate`);
    const submit = () => service.submit(documentOf('true'));
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
    const service = await start();
    const target = await receiver();
    const { id } = await subscribe(service, target, { events: ['task.completed'] });
    target.respond = (response) => response.writeHead(410).end();
    await service.submit(documentOf('true'));
    await until('it is off', async () => !(await send(service, 'GET', `/${id}`)).json.enabled);
    const { json } = await send(service, 'GET', `/${id}`);
    expect(json.disabled_reason).toBe('the endpoint answered 410: it is gone');
    expect(await inLedger('webhook_disabled')).toMatchObject([
      { actor: `webhook:${id}`, detail: { webhook_id: id, reason: json.disabled_reason } },
    ]);
    const [delivery] = await deliveries(service, id);
    expect(delivery).toMatchObject({ status: 'failed', response_status: 410 });
    const off = await send(service, 'POST', `/${id}/deliveries/${delivery.id}/redeliver`);
    expect([off.status, off.json.code]).toEqual([409, 'conflict']);
    expect((await send(service, 'POST', `/${id}/resume`)).json).toMatchObject({ enabled: true, disabled_reason: null });
  });

  it('that hang do not delay another', async () => {
    const service = await start();
    const [good, ...bad] = await Promise.all(Array.from({ length: 21 }, receiver));
    for (const target of bad) {
      target.respond = () => undefined;
      await subscribe(service, target);
    }
    await subscribe(service, good!);
    const tasks = await Promise.all(Array.from({ length: 3 }, () => service.submit(documentOf('true'))));
    await good!.waitFor(5 * tasks.length);
    // All of them still wait for their first answers.
    expect(bad.map((target) => target.received.length).every((count) => count <= 4)).toBe(true);
    const rows = await database.query(`SELECT count(*)::int AS n FROM webhook_deliveries WHERE error IS NOT NULL`);
    expect(rows[0]!.n).toBeLessThan(15 * 20);
  });

  it('lose nothing where the service is killed between commit and delivery', async () => {
    let service = await start();
    const target = await receiver();
    const { id } = await subscribe(service, target);
    // Attempts hang, so that some are under way and some not made yet when the service dies.
    target.respond = () => undefined;
    const tasks = await Promise.all(Array.from({ length: 10 }, () => service.submit(documentOf('true'))));
    await target.waitFor(1);
    await service.kill();
    // The dead service's leases are over.
    await database.query(`UPDATE webhook_deliveries SET due_at = now() WHERE claim IS NOT NULL`);
    target.respond = (response) => response.writeHead(200).end();
    service = await start();
    for (const task of tasks) await service.waitForTask(task, 'completed');
    await until('all is delivered', async () => {
      const sql = `SELECT FROM queue_task_events e WHERE task_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status = 'delivered')`;
      return (await database.query(sql)).length === 0;
    });
    const ledger = await database.query('SELECT id FROM queue_task_events WHERE task_id IS NOT NULL');
    const had = new Set(target.received.map((received) => received.id));
    expect(had).toEqual(new Set(ledger.map((row) => `msg_${id}_${row.id}`)));
    expect(target.refused).toEqual([]);
  });

  it('of one task tell its end, signed with the secret of the deployment', async () => {
    const CALLBACK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const service = await start({ CALLBACK_SECRET });
    const target = await receiver();
    target.secret = CALLBACK_SECRET;
    const callback = encodeURIComponent(`${target.url}/done?token=hidden`);
    const task = await service.submit(documentOf('exit 3'), `?callback_url=${callback}`);
    await service.submit(documentOf('true'));
    await target.waitFor(1);
    expect(target.received[0]).toMatchObject({ path: '/done?token=hidden', message: { type: 'task.failed' } });
    expect((await service.task(task)).metadata).toMatchObject({ callback_url: `${target.url}/done?***` });
    await until('it is noted', async () => {
      const { json } = await send(service, 'GET', `/callbacks/${task}`);
      return json.deliveries?.[0]?.status === 'delivered';
    });
    await service.post(`/api/tasks/${task}/retry`);
    await target.waitFor(2);
    expect(target.received.map(({ message }) => message.data.task_id)).toEqual([task, task]);
    expect(new Set(target.received.map(({ id }) => id)).size).toBe(2);
    const answers = [await service.task(task), (await send(service, 'GET', `/callbacks/${task}`)).json];
    expect(JSON.stringify(answers) + service.stdout).not.toContain('token=hidden');
    expect(target.refused).toEqual([]);
  });
});
