import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = 'examples/embed-in-nest';

interface Packed {
  readonly filename: string;
  readonly files: readonly { path: string }[];
}

describe('the packed library in another Nest application', () => {
  let folder: string;
  let packed: Packed;
  let database: TestDatabase;

  const inExample = (args: string[]) =>
    run('npm', args, {
      cwd: join(folder, EXAMPLE),
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url, npm_config_update_notifier: 'false' },
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'turnpike-embed-'));
    database = await createTestDatabase({ migrated: false });
    // The set-up of these tests has built dist already.
    const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: ROOT,
    });
    packed = (JSON.parse(stdout) as Packed[])[0]!;
    await cp(join(ROOT, EXAMPLE), join(folder, EXAMPLE), {
      recursive: true,
      filter: (path) => !/node_modules|dist|package-lock\.json/.test(path.slice(ROOT.length)),
    });
    await inExample(['install', '--prefer-offline', '--no-audit', '--no-fund']);
  }, 240_000);

  afterAll(async () => {
    await database?.drop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  it('holds what an application and an operator need, and nothing else', () => {
    const paths = packed.files.map((file) => file.path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'dist/index.js',
        'dist/index.d.ts',
        'dist/main.js',
        'dist/workflows/process/watcher.sh',
        'goldenpaths.yaml',
        'workflows/deploy-app.yaml',
        '.env.example',
        'LICENSE',
        'README.md',
      ]),
    );
    expect(
      paths.filter((path) => /\.spec\.|^(src|test|data|examples|bench)\/|\.env$|\.map$|tsbuildinfo/.test(path)),
    ).toEqual([]);
  });

  it('is one copy of each with the application, and type-checks with it', async () => {
    const { stdout } = await inExample(['ls', 'typeorm', '@nestjs/common', '@nestjs/core', '--parseable']);
    const copies = stdout.match(/node_modules\/(typeorm|@nestjs\/(common|core))$/gm);
    expect(copies?.toSorted()).toEqual([
      'node_modules/@nestjs/common',
      'node_modules/@nestjs/core',
      'node_modules/typeorm',
    ]);
    await inExample(['run', 'build']);
  });

  it('lets the application mock QueueService in its unit test', async () => {
    const { stdout } = await inExample(['test']);
    expect(stdout).toMatch(/pass 2\b/);
    expect(stdout).toMatch(/fail 0\b/);
  });

  it('enqueues in the application´s own transaction, and runs its tasks', async () => {
    const { stdout } = await inExample(['start', '--silent']);
    const readme = await readFile(join(ROOT, EXAMPLE, 'README.md'), 'utf8');
    const promised = /It prints:\n\n```\n([^`]+)```/.exec(readme)![1]!;
    expect(stdout.replace(/task-[0-9a-f-]{36}/, 'task-…')).toBe(promised);

    expect(await database.query('SELECT item, shipped FROM orders')).toEqual([{ item: 'a kite', shipped: true }]);
    expect(await database.query('SELECT app_name, status, attempt, result FROM queue_tasks')).toEqual([
      { app_name: 'shop', status: 'completed', attempt: 1, result: { shipped: 1 } },
    ]);
    const ledger = await database.query('SELECT to_status, actor FROM queue_task_events ORDER BY id');
    expect(ledger.map((event) => event.to_status)).toEqual(['pending', 'running', 'completed']);
    expect(ledger[0]).toMatchObject({ actor: 'shop' });
  });
});
