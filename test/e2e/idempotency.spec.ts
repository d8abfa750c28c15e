import { brokenInvariants } from '../support/invariant.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf } from './documents.js';

describe('two services on one database', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
    await cleanUp();
    await database.drop();
  });

  const start = (env: Record<string, string> = {}) =>
    ServiceProcess.start({ env: { DATABASE_URL: database.url, ...env } });
  const send = (service: ServiceProcess, key: string, { path = '/api/specs', body = documentOf('echo hello') } = {}) =>
    service.post(path, JSON.stringify(body), 'application/json', { headers: { 'Idempotency-Key': key } });
  const tasks = async () => (await database.query('SELECT count(*)::int AS n FROM queue_tasks'))[0] as { n: number };

  it('take a submission once for its Idempotency-Key, and answer it the same wherever it is sent', async () => {
    const services = await Promise.all([start(), start({ ROLE: 'api' })]);
    const answers = await Promise.all([0, 1, 0, 1].map((which) => send(services[which]!, 'deploy-1')));
    expect(answers.map(({ status }) => status)).toEqual(Array(4).fill(202));
    expect(answers.filter(({ headers }) => headers['idempotent-replayed'] === 'true')).toHaveLength(3);
    const [first] = answers;
    for (const answer of answers) {
      expect(answer.text).toBe(first!.text);
      expect(answer.headers.location).toBe(`/api/tasks/${first!.json.task_id}`);
    }
    expect(await tasks()).toEqual({ n: 1 });
    await services[1].waitForTask(first!.json.task_id as string, 'completed');

    const later = await send(services[1], 'deploy-1');
    expect([later.status, later.text, later.headers['idempotent-replayed']]).toEqual([202, first!.text, 'true']);

    const others = [{ body: documentOf('echo other') }, { path: '/api/specs?priority=high' }];
    for (const other of [...others, { path: '/api/workflows/golden-paths/deploy-app/execute' }]) {
      const answer = await send(services[0], 'deploy-1', other);
      expect([answer.status, answer.json.code]).toEqual([409, 'idempotency_key_reused']);
    }
    const nonsense = await services[0].post('/api/specs', 'a: b', 'application/yaml', {
      headers: { 'Idempotency-Key': 'deploy-1' },
    });
    expect(nonsense.json.code).toBe('idempotency_key_reused');
    expect(await tasks()).toEqual({ n: 1 });
  });

  it('keep nothing of a dry run or of a refused submission, and refuse keys that are none', async () => {
    const service = await start({ ROLE: 'api' });
    const dry = await send(service, 'k', { path: '/api/specs?dry_run=true' });
    expect([dry.status, dry.headers['idempotent-replayed']]).toEqual([200, undefined]);
    const wrong = await service.post('/api/specs', 'a: b', 'application/yaml', { headers: { 'Idempotency-Key': 'k' } });
    expect(wrong.status).toBe(422);
    const key = await send(service, 'k'.repeat(256));
    expect([key.status, key.json.errors[0].path]).toEqual([422, 'Idempotency-Key']);
    const good = await send(service, 'k');
    expect([good.status, good.headers['idempotent-replayed']]).toEqual([202, undefined]);
    expect(await tasks()).toEqual({ n: 1 });
  });

  it('refuse submissions when the queue, or an application, is full', async () => {
    const service = await start({ ROLE: 'api', QUEUE_CAPACITY: '2' });
    const first = await send(service, 'first');
    await send(service, 'second');
    const full = await send(service, 'third');
    expect([full.status, full.json.code]).toEqual([503, 'queue_full']);
    expect(Number(full.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect((await send(service, 'first')).text).toBe(first.text);
    expect((await service.get('/api/queue/stats')).json).toMatchObject({ queue_size: 2, queue_capacity: 2 });

    const limited = await start({ ROLE: 'api', MAX_PENDING_PER_APP: '2' });
    const busy = await send(limited, 'third');
    expect([busy.status, busy.json.code]).toEqual([429, 'app_queue_full']);
    expect(Number(busy.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(await tasks()).toEqual({ n: 2 });
  });
});
