import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const PUBLIC = ['/health', '/ready'];

describe('the key', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let routes: { method: string; path: string; security: unknown }[];

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
    const { json } = await service.get('/api/docs-json', { token: null });
    routes = Object.entries(json.paths as Record<string, Record<string, { security?: unknown }>>).flatMap(
      ([path, methods]) => Object.entries(methods).map(([method, { security }]) => ({ method, path, security })),
    );
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  it.each([...PUBLIC, '/api/docs', '/api/docs-json'])('is not asked for at %s', async (path) => {
    expect((await service.get(path, { token: null })).status).toBe(200);
  });

  it('is asked for everywhere else, before anything else is looked at', async () => {
    expect(routes.length).toBeGreaterThanOrEqual(10);
    for (const { method, path, security } of routes) {
      if (PUBLIC.includes(path)) {
        expect([path, security]).toEqual([path, undefined]);
        continue;
      }
      const address = path.replace(/\{\w+\}/g, 'task-1');
      const answer = await service.request(method.toUpperCase(), address, { token: null });
      expect([method, path, answer.status, answer.json.code]).toEqual([method, path, 401, 'unauthorized']);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="turnpike"/);
      expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
      // The description says so, too.
      expect([path, security]).toEqual([path, [{ bearer: [] }]]);
    }
  });

  it('opens every route, whatever the case of the scheme', async () => {
    // The stream of events is answered as long as its reader stays.
    for (const { method, path } of routes.filter((route) => route.path !== '/api/events/stream')) {
      const address = path.replace(/\{\w+\}/g, 'task-1');
      const answer = await service.request(method.toUpperCase(), address);
      expect([method, path, [401, 403, 500].includes(answer.status)]).toEqual([method, path, false]);
    }
    const headers = { Authorization: `bearer ${service.token}` };
    expect((await service.get('/api/tasks', { token: null, headers })).status).toBe(200);
  });
});
