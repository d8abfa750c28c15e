import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = 'examples/custom-step';

describe('a step type of one´s own', () => {
  let folder: string;
  let database: TestDatabase;
  let service: ServiceProcess;
  let slack: Server;
  const messages: unknown[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'turnpike-custom-step-'));
    database = await createTestDatabase();
    // The set-up of these tests has built dist already.
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
    await cp(join(ROOT, EXAMPLE), join(folder, EXAMPLE), {
      recursive: true,
      filter: (path) => !/node_modules|dist|data|package-lock\.json/.test(path.slice(ROOT.length)),
    });
    const inExample = { cwd: join(folder, EXAMPLE), env: { ...process.env, NODE_OPTIONS: '' } };
    // PostgreSQL's binaries are optional, large, and not used here.
    await run('npm', ['install', '--prefer-offline', '--omit=optional', '--no-audit', '--no-fund'], inExample);
    await run('npm', ['run', 'build'], inExample);

    slack = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        messages.push(JSON.parse(body));
        response.end('ok');
      });
    });
    await new Promise<void>((resolve) => slack.listen(0, '127.0.0.1', resolve));
    service = await ServiceProcess.start({
      main: join(folder, EXAMPLE, 'dist/main.js'),
      env: { DATABASE_URL: database.url, OUTBOUND_ALLOWED_CIDRS: '127.0.0.1' },
    });
  }, 240_000);

  afterAll(async () => {
    await cleanUp();
    slack?.close();
    await database?.drop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  it('is listed beside the others', async () => {
    expect((await service.get('/api/step-types', { token: null })).status).toBe(401);
    const { status, json } = await service.get('/api/step-types');
    expect(status).toBe(200);
    const types = json as Json[];
    expect(types.map(({ type }) => type as string)).toEqual([
      ...['ansible', 'approval', 'bash', 'git', 'http', 'kubernetes', 'noop', 'policy', 'slack', 'terraform', 'wait'],
    ]);
    for (const { description, usable, missing, schema } of types) {
      expect(description).toMatch(/^[A-Z].*\.$/);
      expect(usable).toBe(missing.length === 0);
      expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
    }
    expect(types.find(({ type }) => type === 'slack')).toMatchObject({ usable: true, schema: { required: ['text'] } });
  });

  it('runs, with what the service provides for it', async () => {
    const { port } = slack.address() as AddressInfo;
    const document = await readFile(join(ROOT, EXAMPLE, 'deploy.yaml'), 'utf8');
    const text = document.replace('https://hooks.slack.com', `http://127.0.0.1:${port}`);
    const { status, json } = await service.post('/api/specs', text, 'application/yaml');
    expect([status, json.errors]).toEqual([202, undefined]);
    const task = await service.waitForTask(json.task_id as string, 'completed');
    expect(task.steps).toMatchObject([{ name: 'tell', type: 'slack', status: 'completed' }]);
    expect(messages).toEqual([{ text: ':rocket: demo-app is on its way' }]);
  });

  it('has its fields checked', async () => {
    const document = await readFile(join(ROOT, EXAMPLE, 'deploy.yaml'), 'utf8');
    const text = document.replace('text: demo', 'txt: demo').replace('rocket', 'rokcet');
    const { status, json } = await service.post('/api/specs', text, 'application/yaml');
    expect(status).toBe(422);
    expect(json.errors).toMatchObject([
      { path: 'workflow.steps[0].config.txt', message: "unknown key 'txt'", hint: "Did you mean 'text'?" },
      { path: 'workflow.steps[0].config.emoji', hint: "Did you mean 'rocket'?" },
    ]);
  });
});
