import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import fc from 'fast-check';
import { type FuzzRequest, requestsFor } from '../support/api-fuzz.js';
import { tryAll } from '../support/fuzz.js';
import { brokenInvariants } from '../support/invariant.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf } from './documents.js';

/** Long enough for a busy machine; what waits on purpose is left alone sooner. */
const HANG_MS = 10_000;
const PATIENCE_MS = 50;
const AT_ONCE = 8;

const EXAMPLES = 'examples/workflows';

describe('hostile requests', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  beforeAll(async () => {
    database = await createTestDatabase();
    // The role that runs nothing: mutated scripts are no programs to run. The memory is what a small container has.
    const env = { DATABASE_URL: database.url, ROLE: 'api', NODE_OPTIONS: '--max-old-space-size=192' };
    service = await ServiceProcess.start({ env });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  /** The status; undefined for an answer that goes on, or that waits because it was asked to. */
  function send({ method, path, headers, body }: FuzzRequest): Promise<number | undefined> {
    const { hostname, port } = new URL(service.url);
    const length = body ? { 'content-length': body.length } : {};
    const authorized = { ...headers, ...length, authorization: `Bearer ${service.token}` };
    const waits = /[?&]wait=/.test(path);
    return new Promise((resolve, reject) => {
      const request = http.request({ hostname, port, method, path, headers: authorized, agent: false }, (response) => {
        const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
        response.resume();
        response.once('end', () => done(() => resolve(response.statusCode)));
        response.once('error', (error) => done(() => reject(error)));
        if (isStream) leave(response.statusCode);
      });
      const done = (settle: () => void) => {
        clearTimeout(timer);
        settle();
      };
      const leave = (status: number | undefined) => {
        done(() => resolve(status));
        request.destroy();
      };
      const hangs = () => {
        if (waits) return leave(undefined);
        reject(new Error(`no answer within ${HANG_MS} ms`));
        request.destroy();
      };
      const timer = setTimeout(hangs, waits ? PATIENCE_MS : HANG_MS);
      // Refused before its body was read to the end; whether the service still stands is asked in the end.
      const cutOff = ({ code }: NodeJS.ErrnoException) => code === 'ECONNRESET' || code === 'EPIPE';
      request.on('error', (error) => done(() => (cutOff(error) ? resolve(undefined) : reject(error))));
      request.end(body);
    });
  }

  async function seeds() {
    const taskId = await service.submit(documentOf('true'), '?delay=1h');
    const cancelled = await service.submit(documentOf('true', 'shop'));
    await service.post(`/api/tasks/${cancelled}/cancel`);
    const schedule = { name: 'nightly', cron: '0 3 * * *', app_name: 'shop', golden_path: 'undeploy-app' };
    await service.post('/api/schedules', JSON.stringify(schedule), 'application/json');
    const documents = readdirSync(EXAMPLES).map((file) => readFileSync(`${EXAMPLES}/${file}`, 'utf8'));
    return { ids: [taskId, cancelled, 'nightly', 'deploy-app'], documents };
  }

  it('to every route are answered, and never with a 5xx', async () => {
    const { json: description } = await service.get('/api/docs-json');
    const requests = fc.array(requestsFor(description, await seeds()), { minLength: AT_ONCE, maxLength: AT_ONCE });
    await tryAll(requests, 60, async (all) => {
      const statuses = await Promise.all(all.map(send));
      const failed = all.filter((_, n) => (statuses[n] ?? 200) >= 500);
      expect(failed.map((request) => ({ ...request, body: request.body?.toString() }))).toEqual([]);
    });
  }, 120_000);

  it('leave the service as well as it was', async () => {
    expect(service.logs().filter(({ level }) => Number(level) >= 50)).toEqual([]);
    expect(service.stderr).toBe('');
    expect((await service.get('/ready', { token: null })).status).toBe(200);
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
  });
});
