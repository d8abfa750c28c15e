import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pointAt } from './primary-watch.js';

const { PGPASSFILE, PGPASSWORD } = process.env;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-pgpass-'));
  const lines = ['a:1:d:ann:of a', 'b:2:d:ann:of b', ''];
  await writeFile(join(folder, 'pgpass'), lines.join('\n'), { mode: 0o600 });
  process.env['PGPASSFILE'] = join(folder, 'pgpass');
  delete process.env['PGPASSWORD'];
});
afterAll(async () => {
  for (const [name, value] of Object.entries({ PGPASSFILE, PGPASSWORD })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  await rm(folder, { recursive: true, force: true });
});

it.each([
  [{ host: 'a', port: 1 }, 'of a'],
  [{ host: 'b', port: 2 }, 'of b'],
])('a client takes from .pgpass the password for the host it is pointed at: %p', async (host, password) => {
  const client = pointAt(new pg.Client({ connectionString: 'postgres://ann@a:1/d' }), host);
  expect(client).toMatchObject(host);
  // What the client does when the server asks for a password; no types for it.
  const { _getPassword: getPassword } = client as pg.Client & { _getPassword(then: () => void): void };
  await new Promise<void>((resolve) => getPassword.call(client, resolve));
  expect((client as pg.Client & { password: string }).password).toBe(password);
});
