import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const YAML = 'application/yaml';
const entry = (name: string, type = 'bash') =>
  `  ${name}: {workflow: {steps: [{name: a, type: ${type}, config: {command: 'true'}}]}}\n`;
const catalogueOf = (...entries: string[]) => `goldenpaths:\n${entries.join('')}`;

describe('the catalogue over HTTP', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let file: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    file = join(newFolder(), 'goldenpaths.yaml');
    writeFileSync(file, catalogueOf(entry('deploy-app')));
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url, GOLDEN_PATHS_FILE: file } });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const names = async () => Object.keys((await service.get('/api/golden-paths')).json);

  it('is read anew by a call', async () => {
    writeFileSync(file, catalogueOf(entry('deploy-app'), entry('second')));
    const { status, json } = await service.post('/api/golden-paths/reload', '', YAML);
    expect([status, json]).toEqual([200, { golden_paths: ['deploy-app', 'second'] }]);
    expect((await service.get('/api/golden-paths/second')).json.steps).toEqual([
      { name: 'a', type: 'bash', when: 'on_success', depends_on: [] },
    ]);
  });

  it('is read anew at SIGHUP; a wrong one leaves the old one in force', async () => {
    writeFileSync(file, catalogueOf(entry('deploy-app'), entry('third')));
    service.signal('SIGHUP');
    await service.waitForLog(({ golden_paths: found }) => Array.isArray(found) && found.includes('third'));
    expect(await names()).toEqual(['deploy-app', 'third']);

    writeFileSync(file, catalogueOf(entry('deploy-app', 'bsh')));
    service.signal('SIGHUP');
    const line = await service.waitForLog('The catalogue cannot be read: the old one stays in force');
    expect(line.errors).toEqual([expect.stringMatching(/goldenpaths\.yaml:2:\d+: .*unknown step type 'bsh'/)]);
    const { status, json } = await service.post('/api/golden-paths/reload', '', YAML);
    expect([status, json.code]).toEqual([422, 'invalid_catalogue']);
    expect(json.errors).toMatchObject([{ file: 'goldenpaths.yaml', line: 2, hint: "Did you mean 'bash'?" }]);
    expect(await names()).toEqual(['deploy-app', 'third']);
    expect((await service.get('/health', { token: null })).status).toBe(200);
  });

  it('is checked without being touched', async () => {
    writeFileSync(file, catalogueOf(entry('deploy-app')));
    const validate = async (body: string) => (await service.post('/api/golden-paths/validate', body, YAML)).json;
    expect(await validate('')).toEqual({ valid: true, golden_paths: ['deploy-app'], errors: [] });
    expect(await validate(catalogueOf(entry('x'), entry('y', 'bsh')))).toMatchObject({
      valid: false,
      golden_paths: [],
      errors: [{ path: 'goldenpaths.y.workflow.steps[0].type', line: 3 }],
    });
    expect(await names()).toEqual(['deploy-app', 'third']);
  });

  it('has the parameters of each golden path as JSON Schema', async () => {
    const { json } = await service.get('/api/golden-paths/deploy-app/schema');
    expect(json).toMatchObject({ $schema: expect.stringContaining('2020-12'), title: 'deploy-app', properties: {} });
    expect((await service.get('/api/golden-paths/other/schema')).status).toBe(404);
  });
});
