import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cleanUp, ServiceProcess, type Json } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const COMMAND = fileURLToPath(new URL('../../dist/verify-ledger.js', import.meta.url));

describe('the ledger', () => {
  let database: TestDatabase;
  let service: ServiceProcess;

  beforeEach(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
  });

  afterEach(async () => {
    await cleanUp();
    await database.drop();
  });

  const audit = async (query = ''): Promise<Json> => (await service.get(`/api/audit${query}`)).json;

  function command(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { PATH: process.env.PATH, DATABASE_URL: database.url };
    return new Promise((resolve) =>
      execFile(process.execPath, [COMMAND, ...args], { env, cwd: service.dataDir }, (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
      ),
    );
  }

  /** As the owner of the database can who puts its triggers to sleep. */
  const tamper = (sql: string) => database.query(`BEGIN; SET LOCAL session_replication_role = replica; ${sql}; COMMIT`);

  async function sealedHead(): Promise<Json> {
    const [{ n }] = (await database.query('SELECT count(*)::int AS n FROM queue_task_events')) as [{ n: number }];
    let head: Json;
    await until(
      () => `all ${n} entries are sealed: ${JSON.stringify(head)}`,
      async () => (head = (await service.get('/api/audit/head')).json).rows >= n,
      { everyMs: 50 },
    );
    return head;
  }

  it('answers who did what, page by page', async () => {
    const one = await service.submit(documentOf('true', 'shop'));
    const two = await service.submit(documentOf('true', 'forum'));
    await Promise.all([one, two].map((id) => service.waitForTask(id, 'completed')));
    const { events, next_cursor } = await audit(`?app_name=shop`);
    expect(next_cursor).toBeNull();
    expect(events.map((event: Json) => [event.kind, event.to_status])).toEqual([
      ...[
        ['transition', 'completed'],
        ['step', 'completed'],
        ['step', 'running'],
        ['transition', 'running'],
      ],
      ['transition', 'pending'],
    ]);
    expect(events.at(-1)).toEqual({
      ...{
        id: expect.any(String),
        kind: 'transition',
        task_id: one,
        from_status: null,
        to_status: 'pending',
        attempt: 0,
      },
      ...{ actor: 'admin', cause: null, detail: null, request_id: expect.any(String) },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    });
    expect((await audit(`?actor=admin`)).events.map((event: Json) => event.task_id)).toEqual([two, one]);
    const seen = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Json = await audit(`?limit=3${cursor && `&cursor=${cursor}`}`);
      seen.push(...page.events.map((event: Json) => event.id));
      cursor = page.next_cursor;
    }
    expect([seen.length, new Set(seen).size]).toEqual([10, 10]);
  });

  it('says what is wrong with a request', async () => {
    const paths = async (query: string) => {
      const { status, json } = await service.get(`/api/audit${query}`);
      return [status, ...json.errors.map((error: Json) => error.path)];
    };
    expect(await paths('?actr=a&kind=k&since=yesterday&limit=0')).toEqual([422, 'actr', 'kind', 'since', 'limit']);
    const forged = Buffer.from('at:2026-02-30T00:00:00.000000Z:1').toString('base64url');
    for (const cursor of ['x', forged]) expect(await paths(`?cursor=${cursor}`)).toEqual([422, 'cursor']);
    expect(await paths('/verify?from_block=0&head=1:abc')).toEqual([422, 'from_block', 'head']);
  });

  it('is proved by the chain, over HTTP and by the command, which name what was changed', async () => {
    expect((await service.get('/api/audit/head')).json.code).toBe('ledger_not_sealed');
    const taskId = await service.submit(documentOf('true'));
    await service.waitForTask(taskId, 'completed');
    const head = await sealedHead();
    const kept = `${head.block}:${head.hash}`;
    const whole = await service.get(`/api/audit/verify?head=${kept}`);
    expect(whole.json).toEqual({
      ...{ valid: true, head, removed_before: null },
      checked: { from_block: 1, to_block: head.block, rows: 5, rows_removed: 0 },
    });
    const good = await command('--head', kept);
    expect([good.code, JSON.parse(good.stdout)]).toEqual([0, whole.json]);

    await tamper(`UPDATE queue_task_events SET actor = 'nobody' WHERE actor = 'admin'`);
    const broken = (await service.get('/api/audit/verify')).json;
    expect(broken).toMatchObject({ valid: false, first_broken: { block: 1, reason: 'changed_row' } });
    const bad = await command();
    expect([bad.code, JSON.parse(bad.stdout).first_broken]).toEqual([1, broken.first_broken]);

    const unknown = await command('--hed', 'x');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('--hed')]);
    const wrong = await command('--from-block', '0');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--from-block')]);
    expect((await command('--help')).stdout).toContain('--from-block');
  });
});
