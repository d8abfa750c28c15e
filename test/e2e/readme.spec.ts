import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const run = promisify(execFile);

/** The code blocks of one language in a page, in their order. */
async function blocks(file: string, language: string): Promise<string[]> {
  const text = await readFile(file, 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code!);
}

describe('what the pages tell a newcomer to type', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let folder: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
    folder = await mkdtemp(join(tmpdir(), 'turnpike-readme-'));
    await writeFile(join(folder, 'admin-token'), service.token);
    await symlink(resolve('examples'), join(folder, 'examples'));
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Types it as it stands, but for the service's address and the folder of its data. */
  async function type(script: string): Promise<string> {
    const here = script.replaceAll('http://127.0.0.1:8081', service.url).replaceAll('data/admin-token', 'admin-token');
    const { stdout } = await run('bash', ['--norc', '-euo', 'pipefail', '-c', here], {
      cwd: folder,
      env: { ...process.env, TOKEN: service.token },
    });
    return stdout;
  }

  it('README.md: its first two commands are those of package.json', async () => {
    const [first = ''] = await blocks('README.md', 'sh');
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
    expect(first.match(/npm (start|test)/g)).toEqual(['npm start', 'npm test']);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test', 'demo', 'migration:run']));
  });

  it('README.md: the first submission, and the looks at it', async () => {
    const commands = (await blocks('README.md', 'sh')).filter((block) => !block.includes('npm ci'));
    const said = await type(commands.join('\n'));
    expect(said).toContain("Golden path 'deploy-app' enqueued successfully");
    expect(said).toContain('"queue_size":');
    expect(said).toContain('"tasks":[');
    expect(said).not.toContain('urn:turnpike:error');
  });

  it('docs/golden-paths.md: both ways to run one, and how to change the catalogue', async () => {
    await copyFile('goldenpaths.yaml', join(folder, 'goldenpaths.yaml'));
    const said = await type((await blocks('docs/golden-paths.md', 'sh')).join('\n'));
    expect(said.match(/enqueued successfully/g)).toHaveLength(2);
    expect(said.match(/"valid":true/g)).toHaveLength(2);
    expect(said).toMatch(/\{"golden_paths":\["deploy-app",[^}]*\}$/);
  });

  it('README.md: the queries', async () => {
    const statements = (await blocks('README.md', 'sql'))
      .join('\n')
      .split(';')
      .filter((sql) => sql.trim() !== '');
    expect(statements).toHaveLength(3);
    for (const statement of statements) await expect(database.query(statement)).resolves.toBeInstanceOf(Array);
  });
});
