import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const SNAPSHOT = fileURLToPath(new URL('../../openapi.json', import.meta.url));

describe('the description of the API', () => {
  let database: TestDatabase;
  let service: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  it('is openapi.json as committed; UPDATE_OPENAPI=1 writes that anew', async () => {
    const { json } = await service.get('/api/docs-json', { token: null });
    if (process.env.UPDATE_OPENAPI) writeFileSync(SNAPSHOT, `${JSON.stringify(json, null, 2)}\n`);
    expect(json).toEqual(JSON.parse(readFileSync(SNAPSHOT, 'utf8')));
  });

  it('is shown by Swagger UI, whose files the service has itself', async () => {
    const page = await service.get('/api/docs', { token: null });
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.text).toContain('swagger-ui');
    const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, file]) => new URL(file!, `${service.url}/api/docs`),
    );
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) {
      expect(file.origin).toBe(service.url);
      expect([file.pathname, (await service.get(file.pathname, { token: null })).status]).toEqual([file.pathname, 200]);
    }
  });
});
