import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminToken } from './admin-token.js';

describe('the admin token', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'turnpike-auth-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  it('is the setting where there is one', async () => {
    expect(await adminToken('from-the-setting', dataDir)).toEqual({ token: 'from-the-setting' });
  });

  it('is made once, for its owner only', async () => {
    const made = await adminToken(undefined, join(dataDir, 'new'));
    expect(made.token).toMatch(/^tp_[\w-]{43}$/);
    expect(await readFile(made.file!, 'utf8')).toBe(`${made.token}\n`);
    expect((await stat(made.file!)).mode & 0o777).toBe(0o600);
    expect(await adminToken(undefined, join(dataDir, 'new'))).toEqual(made);
  });

  it('is refused where the file holds none', async () => {
    await writeFile(join(dataDir, 'admin-token'), '\n');
    await expect(adminToken(undefined, dataDir)).rejects.toThrow(/delete it and start again/);
  });
});
